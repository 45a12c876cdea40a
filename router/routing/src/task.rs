//! Which requests are alike: the cluster that a choice is learnt in.
//!
//! A cluster is the kind of work, once without and once with tools to call (an agent's turn is another
//! work than an answer to a person), and a few for words that callers have for their own kinds of work
//! (`x-atp-task`). Few clusters learn fast: what else tells requests apart (length, language, code, form)
//! stands in the features of the [`Context`], whose weights each cluster learns for itself.

use atp_core::{Capability, Features, Language, TaskKind};

use crate::bandit::{Context, D};

/// Kinds of work.
const KINDS: u16 = TaskKind::ALL.len() as u16;

/// Clusters for callers' own words.
const WORDS: u16 = 16;

/// How many clusters there are; a cluster is a number below.
pub const CLUSTERS: u16 = 2 * KINDS + WORDS;

/// The names, by number: what is told in plans and in metrics.
const NAMES: [&str; CLUSTERS as usize] = [
    "chat",
    "code",
    "summarize",
    "extract",
    "classify",
    "translate",
    "reason",
    "structure",
    "chat_tools",
    "code_tools",
    "summarize_tools",
    "extract_tools",
    "classify_tools",
    "translate_tools",
    "reason_tools",
    "structure_tools",
    "task_0",
    "task_1",
    "task_2",
    "task_3",
    "task_4",
    "task_5",
    "task_6",
    "task_7",
    "task_8",
    "task_9",
    "task_10",
    "task_11",
    "task_12",
    "task_13",
    "task_14",
    "task_15",
];

/// The cluster of a request. `task` is the caller's own word for the work: the name of a kind goes before
/// what the features tell, any other word has a cluster by its hash (which it may share with another word).
#[must_use]
pub fn cluster(features: &Features, task: Option<&str>) -> u16 {
    let word = task.map(str::trim).filter(|word| !word.is_empty());
    let said = word.map(|word| (word, TaskKind::parse(&word.to_ascii_lowercase())));
    let kind = match said {
        Some((word, None)) => return 2 * KINDS + bucket(word),
        Some((_, Some(kind))) => kind,
        None => features.kind,
    };
    kind as u16 + if features.tools > 0 { KINDS } else { 0 }
}

/// The name of a cluster; a number that is none has the name of the first.
#[must_use]
pub fn cluster_name(cluster: u16) -> &'static str {
    NAMES.get(usize::from(cluster)).or(NAMES.first()).copied().unwrap_or_default()
}

/// The kind of work that a cluster is made of; `None` for callers' own words.
#[must_use]
pub fn cluster_kind(cluster: u16) -> Option<TaskKind> {
    TaskKind::ALL.get(usize::from(cluster % KINDS)).copied().filter(|_| cluster < 2 * KINDS)
}

/// What a choice is learnt from. Every feature is from 0 to 1, so that one that is absent adds nothing:
/// the bias; length in tokens and the number of messages (logarithms); not English; no Latin letters;
/// code; tools (logarithm); an answer in JSON is needed.
#[must_use]
pub fn context(features: &Features, cluster: u16) -> Context {
    let is = |yes: bool| if yes { 1.0 } else { 0.0 };
    let x: [f64; D] = [
        1.0,
        log_share(features.tokens, 131_072),
        log_share(u64::from(features.messages), 64),
        is(features.language != Language::English),
        is(matches!(features.language, Language::Cjk | Language::Other)),
        is(features.code),
        log_share(u64::from(features.tools), 32),
        is(features.needs.has(Capability::Json)),
    ];
    Context { cluster: cluster.min(CLUSTERS - 1), x }
}

/// The logarithm of a count as a share of the logarithm of what is most.
fn log_share(count: u64, most: u64) -> f64 {
    ((count as f64).ln_1p() / (most as f64).ln_1p()).min(1.0)
}

/// Which of the clusters for words a word has: FNV-1a over its lower-case letters.
fn bucket(word: &str) -> u16 {
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV-1a are its weakest: the high half is folded in.
    ((hash ^ (hash >> 32)) % u64::from(WORDS)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_has_a_name_of_its_own() {
        let mut names: Vec<_> = (0..CLUSTERS).map(cluster_name).collect();
        assert_eq!(names.len(), usize::from(CLUSTERS));
        for kind in TaskKind::ALL {
            let features = Features { kind, ..Features::default() };
            assert_eq!(cluster_name(cluster(&features, None)), kind.label());
            let tools = Features { tools: 1, ..features };
            assert_eq!(cluster_name(cluster(&tools, None)), format!("{}_tools", kind.label()));
            assert_eq!(cluster_kind(cluster(&tools, None)), Some(kind));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), usize::from(CLUSTERS));
    }

    #[test]
    fn the_callers_word_goes_before_what_the_text_looks_like() {
        let features = Features { kind: TaskKind::Code, ..Features::default() };
        assert_eq!(cluster_name(cluster(&features, Some(" Translate "))), "translate");
        let own = cluster(&features, Some("triage-tickets"));
        assert!(cluster_name(own).starts_with("task_") && own == cluster(&features, Some("Triage-Tickets")));
        assert_eq!((cluster(&features, Some("")), cluster_kind(own)), (1, None));
    }

    #[test]
    fn words_spread_over_their_clusters() {
        let used: std::collections::BTreeSet<_> =
            (0..200).map(|n| cluster(&Features::default(), Some(&format!("job {n}")))).collect();
        assert_eq!(used.len(), usize::from(WORDS));
    }

    #[test]
    fn every_feature_is_from_zero_to_one() {
        let most = Features {
            tokens: u64::MAX,
            messages: u32::MAX,
            tools: u32::MAX,
            code: true,
            language: Language::Cjk,
            needs: [Capability::Json].into_iter().collect(),
            ..Features::default()
        };
        assert_eq!(context(&most, 3).x, [1.0; D]);
        let least = context(&Features::default(), u16::MAX);
        assert_eq!((least.x[0], least.x[1..].iter().sum::<f64>(), least.cluster), (1.0, 0.0, CLUSTERS - 1));
    }
}
