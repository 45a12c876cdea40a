//! Where families are registered.

use prometheus::core::Collector;
use prometheus::{Error, Registry};

/// Takes families to be scraped: a registry, or one that also remembers what they mean.
pub trait Registrar {
    /// Takes a collector.
    ///
    /// # Errors
    ///
    /// Where a name is taken or not valid.
    fn register(&self, collector: Box<dyn Collector>) -> Result<(), Error>;
}

impl Registrar for Registry {
    fn register(&self, collector: Box<dyn Collector>) -> Result<(), Error> {
        Self::register(self, collector)
    }
}
