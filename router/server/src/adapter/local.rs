//! A model in the adapter's own process, where it was built for that.

use std::sync::Arc;

use atp_core::port::Provider;

use super::LocalModel;

/// Opens the model.
///
/// # Errors
/// A file that cannot be run.
#[cfg(feature = "local")]
pub(super) fn open(model: &LocalModel) -> Result<Arc<dyn Provider>, String> {
    use atp_adapters::local::{Local, LocalConfig};

    let config = LocalConfig {
        name: Arc::from("local"),
        model: model.file.clone(),
        context: model.context,
        slots: model.slots,
        line: model.line,
        threads: None,
    };
    Ok(Arc::new(Local::open(&config).map_err(|error| error.to_string())?))
}

/// Says with what it has to be built.
///
/// # Errors
/// Always: this build has no such thing.
#[cfg(not(feature = "local"))]
pub(super) fn open(model: &LocalModel) -> Result<Arc<dyn Provider>, String> {
    Err(format!(
        "this build runs no models itself, so {} cannot be opened; build it with `cargo build --release -p atp --features local`",
        model.file.display()
    ))
}
