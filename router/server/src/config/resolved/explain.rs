//! Routes in words: who may be chosen for what, as far as the file says.

use atp_core::{MicroUsd, Quality, Status};
use atp_routing::bandit::Strategy;

use super::{Manner, Model, Resolved, RouteRules, TargetPrice, strategy};

/// What a model counts for of whose quality nothing is known.
const UNKNOWN: f64 = 0.75;

impl Resolved {
    /// Each route in a few lines: how it chooses, who its candidates are, and who of them is good enough for which
    /// quality before anything is learnt.
    #[must_use]
    pub fn explain_routes(&self) -> Vec<String> {
        self.routes.iter().flat_map(|route| self.explain(route)).collect()
    }

    fn explain(&self, route: &RouteRules) -> Vec<String> {
        let candidates: Vec<&Model> =
            route.candidates.iter().filter_map(|name| self.models.iter().find(|model| model.is_called(name))).collect();
        let listed = if route.listed { "" } else { ", made because no route has this name" };
        let explores = match &route.manner {
            Manner::One(Strategy::Cheapest) | Manner::Several(_) => String::new(),
            Manner::One(_) => format!(", explores {}% at most", (route.explore * 1e4).round() / 1e2),
        };
        let mut lines = vec![format!("{}: {}{explores}{listed}", route.name, strategy(route))];
        let width = candidates.iter().map(|model| model.name.as_text().chars().count()).max().unwrap_or(0);
        lines.extend(candidates.iter().map(|model| {
            let name = model.name.as_text();
            format!("  {name:width$}  {}", known(model)).trim_end().to_owned()
        }));
        lines.extend(Quality::ALL.into_iter().map(|quality| {
            let fit: Vec<String> = candidates
                .iter()
                .filter(|model| may_answer(model, route))
                .filter(|model| model.facts.quality.unwrap_or(UNKNOWN) >= quality.floor())
                .map(|model| model.name.as_text().into_owned())
                .collect();
            let who = match fit.as_slice() {
                [] => "nobody is known to be good enough; the best is asked".to_owned(),
                names => names.join(", "),
            };
            format!("  {}:{} (from {:.2}): {who}", route.name, quality.label(), quality.floor())
        }));
        lines
    }
}

fn may_answer(model: &Model, route: &RouteRules) -> bool {
    let safe = route.safety.is_none_or(|least| model.facts.safety.is_some_and(|grade| grade >= least));
    safe && model.facts.status == Status::Active
}

/// What the file says of a model.
fn known(model: &Model) -> String {
    let facts = &model.facts;
    let mut told =
        vec![facts.quality.map_or_else(|| "quality unknown".to_owned(), |known| format!("quality {known:.2}"))];
    told.extend(facts.latency_p95.map(|p95| format!("p95 {} ms", p95.as_millis())));
    let price = model.targets.iter().find_map(|target| match &target.price {
        TargetPrice::Known(price) => Some(price),
        TargetPrice::Unknown | TargetPrice::ByName(_) => None,
    });
    told.push(price.map_or_else(
        || "price unknown".to_owned(),
        |price| {
            let [input, output] = [price.input, price.output].map(|micros| MicroUsd(micros).as_usd());
            format!("${input:.2} in, ${output:.2} out per million tokens")
        },
    ));
    told.extend(facts.context.map(|tokens| format!("context {tokens}")));
    told.extend(facts.safety.map(|grade| format!("safety {}", grade.label())));
    if facts.status != Status::Active {
        told.push(facts.status.label().to_owned());
    }
    told.join(", ")
}
