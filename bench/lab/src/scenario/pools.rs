//! Pools: several lanes of different size behind one model.

use super::{Scale, Ways};
use crate::paper::{Aim, Section, Table, percent, span};
use crate::provider::Spec;
use crate::stats::quantile;
use crate::tally::Tally;
use crate::traffic::{Arrivals, Length, Source, Tenant};
use crate::world::{Choice, Controlled, Plan, System, run};

/// Slots of the large and of the small server.
const SLOTS: [u32; 2] = [48, 16];
const WARM_UP: f64 = 60.0;

pub(super) fn play(scale: Scale) -> Section {
    let plan = plan(scale);
    let runs: Ways = systems().into_iter().map(|system| (run(&plan, &system), system)).collect();
    let p99 = |tally: &Tally| quantile(&tally.first_tokens(0, WARM_UP, plan.length), 0.99).unwrap_or(f64::INFINITY);
    let row = |(tally, system): &(Tally, System)| {
        let times = tally.first_tokens(0, WARM_UP, plan.length);
        let at = |share| span(quantile(&times, share).unwrap_or_default());
        let goodput = percent(tally.goodput(WARM_UP, plan.length));
        vec![system.name.to_owned(), at(0.5), at(0.99), tally.longest_line(WARM_UP, plan.length).to_string(), goodput]
    };
    let table = Table {
        caption: "*48 and 16 slots at 85 % of what both can do*: time to first token.".to_owned(),
        head: vec!["", "p50", "p99", "longest line at a provider", "goodput"],
        rows: runs.iter().map(row).collect(),
    };
    let mut aims = Vec::new();
    if let [(ours, _), (least_busy, _), ..] = runs.as_slice() {
        aims.push(Aim::at_most("p99 to first token, unequal lanes (least busy)", p99(least_busy), p99(ours), span));
    }
    Section { title: "Pools", text: TEXT, aims, tables: vec![table], drawings: Vec::new() }
}

fn systems() -> [System; 3] {
    let fixed = Controlled::Fixed(vec![SLOTS[0] / 2, SLOTS[1] * 2]);
    [
        System::ours(),
        System { choice: Choice::LeastBusy, ..System::plain("least busy, no limits", Controlled::Not) },
        System::plain("static limits, half and double of what is right", fixed),
    ]
}

fn plan(scale: Scale) -> Plan {
    let source = Source::new(0, Arrivals::Poisson(15.0), Length::of(600.0, 0.6), Length::of(150.0, 0.5));
    let lanes = SLOTS.map(|slots| Spec::own(slots, 4_096)).to_vec();
    let tenants = vec![Tenant { name: "one", weight: 1.0 }];
    Plan::new(71, WARM_UP + scale.seconds(1_200.0), tenants, vec![source], lanes)
}

const TEXT: &str = "
One large and one small server serve the same model, in this order. *Least busy* asks whoever has fewer calls under
way, which gives both as many whatever their size.
";
