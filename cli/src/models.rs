//! `atp models`: what a running router serves, and with `--long` what is known of it.

mod known;

use crate::args::{DEFAULT_ADMIN, ModelsArgs};
use crate::failure::Failure;
use crate::router::{Admin, Model, Router};
use crate::term::{Brush, Style, Terminal, columns, harmless};

/// Asks and prints.
pub(crate) fn run(args: &ModelsArgs, term: &Terminal) -> Result<(), Failure> {
    if args.long {
        return long(args, term);
    }
    let router = Router::of(&args.connect)?;
    if args.json {
        return term.write_json(&router.model_list()?);
    }
    let models = router.models()?;
    if models.is_empty() {
        term.note("the router lists no models; add some under `models` in its configuration");
        return Ok(());
    }
    term.write(&table(&models, term.out))
}

/// Facts and routes.
fn long(args: &ModelsArgs, term: &Terminal) -> Result<(), Failure> {
    let url = args.admin.as_deref().filter(|url| !url.is_empty()).unwrap_or(DEFAULT_ADMIN);
    let told = Admin::at(url)?.get("/admin/models")?;
    if args.json {
        return term.write_json(&told);
    }
    term.write(&known::text(&told, term.out))
}

fn table(models: &[Model], brush: Brush) -> String {
    let head = ["MODEL".to_owned(), "OWNED BY".to_owned()];
    let row = |model: &Model| [harmless(&model.id).into_owned(), harmless(&model.owner).into_owned()];
    let rows: Vec<_> = std::iter::once(head).chain(models.iter().map(row)).collect();
    let mut lines = columns(&rows).into_iter();
    let head = lines.next().map(|cells| brush.paint(Style::Dim, &cells.concat()));
    let rest = lines.map(|[id, owner]| format!("{}{owner}", brush.paint(Style::Bold, &id)).trim_end().to_owned());
    head.into_iter().chain(rest).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned() {
        let models = [("sim-fast", "simulated"), ("m", "")]
            .map(|(id, owner)| Model { id: id.to_owned(), owner: owner.to_owned() });
        assert_eq!(table(&models, Brush::Plain), "MODEL     OWNED BY\nsim-fast  simulated\nm\n");
    }
}
