//! What is minded, and what happens to it.

use crate::class::{Class, ClassSet};
use crate::detect::{self, Finding};

/// A named set of classes, as a persona's `compliance` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// What identifies a person or opens an account.
    Pii,
    /// The identifiers of the Safe Harbor method (45 CFR 164.514(b)(2)) that have a form.
    Hipaa,
    /// Personal data in the sense of Article 4(1) GDPR that has a form, national numbers (Article 87) included.
    Gdpr,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Self; 3] = [Self::Pii, Self::Hipaa, Self::Gdpr];

    /// The name in a persona's file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pii => "PII_filter",
            Self::Hipaa => "HIPAA_guard",
            Self::Gdpr => "GDPR_guard",
        }
    }

    /// The filter of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.label() == name)
    }

    /// What it minds.
    #[must_use]
    pub const fn classes(self) -> ClassSet {
        use Class::{BirthDate, Card, Email, HealthPlan, Iban, IpAddress, MedicalRecord, NationalId, Phone, Ssn};
        match self {
            Self::Pii => ClassSet::of(&[Email, Phone, Card, Iban, Ssn, IpAddress]),
            Self::Hipaa => {
                ClassSet::of(&[Email, Phone, Card, Iban, Ssn, IpAddress, MedicalRecord, HealthPlan, BirthDate])
            }
            Self::Gdpr => ClassSet::of(&[Email, Phone, Card, Iban, Ssn, IpAddress, NationalId, BirthDate]),
        }
    }
}

/// What happens to a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Action {
    /// A placeholder stands in its place until it comes back.
    #[default]
    Mask,
    /// The request is refused.
    Block,
}

impl Action {
    /// The word of a file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Mask => "mask",
            Self::Block => "block",
        }
    }
}

/// Which classes are minded, and what happens to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Guard {
    mask: ClassSet,
    block: ClassSet,
}

impl Guard {
    /// This guard, and `action` for one more class. The stricter of two actions stays.
    #[must_use]
    pub const fn minding(self, class: Class, action: Action) -> Self {
        let one = ClassSet::of(&[class]);
        match action {
            Action::Mask => Self { mask: self.mask.with(one.without(self.block)), block: self.block },
            Action::Block => Self { mask: self.mask.without(one), block: self.block.with(one) },
        }
    }

    /// This guard, and `action` for every class of a filter.
    #[must_use]
    pub fn filtering(self, filter: Filter, action: Action) -> Self {
        filter.classes().each().fold(self, |guard, class| guard.minding(class, action))
    }

    /// What happens to a class; `None` where it is not minded.
    #[must_use]
    pub const fn action(self, class: Class) -> Option<Action> {
        if self.block.holds(class) {
            Some(Action::Block)
        } else if self.mask.holds(class) {
            Some(Action::Mask)
        } else {
            None
        }
    }

    /// Every class that is minded.
    #[must_use]
    pub const fn classes(self) -> ClassSet {
        self.mask.with(self.block)
    }

    /// Whether nothing is minded.
    #[must_use]
    pub const fn is_idle(self) -> bool {
        self.classes().is_empty()
    }

    /// What of the minded classes a text holds, in its order and without overlap.
    #[must_use]
    pub fn find(self, text: &str) -> Vec<Finding> {
        detect::find(text, self.classes())
    }

    /// The first class among findings for which the text may not go out.
    #[must_use]
    pub fn blocks(self, findings: &[Finding]) -> Option<Class> {
        findings.iter().map(|finding| finding.class).find(|class| self.block.holds(*class))
    }
}
