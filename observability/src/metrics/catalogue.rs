//! The catalogue of metrics, made from what is registered.

use prometheus::core::Collector;
use prometheus::proto::MetricType;

/// One family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) name: String,
    kind: &'static str,
    labels: Vec<String>,
    help: String,
}

/// What a collector describes. A description has no type; the families it collects have.
pub(super) fn families(collector: &dyn Collector) -> Vec<Family> {
    let collected = collector.collect();
    let kind = |name: &str| {
        let found = collected.iter().find(|family| family.name() == name);
        found.map_or("untyped", |family| kind_name(family.get_field_type()))
    };
    let family = |desc: &&prometheus::core::Desc| Family {
        name: desc.fq_name.clone(),
        kind: kind(&desc.fq_name),
        labels: desc
            .const_label_pairs
            .iter()
            .map(|pair| String::from(pair.name()))
            .chain(desc.variable_labels.clone())
            .collect(),
        help: desc.help.clone(),
    };
    collector.desc().iter().map(family).collect()
}

fn kind_name(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    }
}

/// The families as a Markdown table.
pub(super) fn table<'a>(families: impl Iterator<Item = &'a Family>) -> String {
    let mut out = String::from("| name | type | labels | meaning |\n|---|---|---|---|\n");
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let help = family.help.replace('|', "\\|").replace('\n', " ");
        out.push_str(&format!("| `{}` | {} | {} | {help} |\n", family.name, family.kind, labels.join(", ")));
    }
    out
}
