//! The names behind which the router chooses, in a table, and the same with a quality: `auto:high`.

use std::collections::HashMap;
use std::sync::Arc;

use super::Route;
use crate::plan::{Arm, Asked, Choice, QUALITIES};
use crate::snapshot::Snapshot;

/// The routes of one configuration.
#[derive(Default)]
pub(super) struct Choices {
    /// In configured order.
    all: Vec<Arc<Choice>>,
    names: HashMap<Arc<str>, Asked>,
}

impl Choices {
    /// The routes of a snapshot that has been checked, among the models that `names` leads to. What those of the
    /// same name `before` have learnt is taken over.
    pub(super) fn resolve(snapshot: &Snapshot, names: &HashMap<Arc<str>, Arc<Route>>, before: Option<&Self>) -> Self {
        let mut choices = Self::default();
        for rules in &snapshot.routes {
            let arm = |name: &Arc<str>| {
                let facts = &snapshot.models.iter().find(|model| model.name == *name)?.facts;
                Some(Arm::new(Arc::clone(names.get(name)?), facts.clone()))
            };
            let arms = rules.candidates.iter().filter_map(arm).collect();
            let before = before.and_then(|before| before.named(&rules.name));
            let choice = Arc::new(Choice::new(rules, arms, before.map(|before| &**before)));
            choices.names.insert(Arc::clone(&rules.name), Asked { choice: Arc::clone(&choice), quality: None });
            choices.all.push(choice);
        }
        // Behind all routes: one that is called `a:high` itself goes before `a` with a quality.
        for choice in &choices.all {
            for (suffix, quality) in QUALITIES {
                let name = Arc::from(format!("{}:{suffix}", choice.rules.name));
                let asked = Asked { choice: Arc::clone(choice), quality: Some(quality) };
                choices.names.entry(name).or_insert(asked);
            }
        }
        choices
    }

    /// Whether a name is a route's, perhaps with a quality.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// What such a name asks for.
    pub(super) fn asked(&self, name: &str) -> Option<&Asked> {
        self.names.get(name)
    }

    /// The route of this very name.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Choice>> {
        self.names.get(name).filter(|asked| asked.quality.is_none()).map(|asked| &asked.choice)
    }

    /// The routes, in configured order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Choice>> + Clone {
        self.all.iter()
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|choice| &*choice.rules.name)
    }

    /// The names of those that are listed among the models.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Arc<str>> {
        self.all.iter().filter(|choice| choice.rules.listed).map(|choice| &choice.rules.name)
    }
}
