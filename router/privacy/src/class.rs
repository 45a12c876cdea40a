//! The kinds of personal data that have a form by which they are found.

/// One kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// An address for mail.
    Email,
    /// A telephone number.
    Phone,
    /// The number of a payment card.
    Card,
    /// An international bank account number.
    Iban,
    /// A social security number of the United States.
    Ssn,
    /// An address of the Internet, of version 4 or 6.
    IpAddress,
    /// A number by which a state knows a person, other than [`Class::Ssn`].
    NationalId,
    /// The number of a medical record.
    MedicalRecord,
    /// The number of a member of a health plan.
    HealthPlan,
    /// The day somebody was born.
    BirthDate,
}

impl Class {
    /// Every class. Where two findings overlap, the class that stands first here wins: from the forms that prove
    /// themselves to those that could be anything.
    pub const ALL: [Self; 10] = [
        Self::Email,
        Self::Iban,
        Self::Card,
        Self::MedicalRecord,
        Self::HealthPlan,
        Self::NationalId,
        Self::Ssn,
        Self::BirthDate,
        Self::IpAddress,
        Self::Phone,
    ];

    /// The name in configurations, errors and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
            Self::IpAddress => "ip_address",
            Self::NationalId => "national_id",
            Self::MedicalRecord => "medical_record",
            Self::HealthPlan => "health_plan",
            Self::BirthDate => "birth_date",
        }
    }

    /// The word of its placeholders: `[EMAIL_1]`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Ssn => "SSN",
            Self::IpAddress => "IP_ADDRESS",
            Self::NationalId => "NATIONAL_ID",
            Self::MedicalRecord => "MEDICAL_RECORD",
            Self::HealthPlan => "HEALTH_PLAN",
            Self::BirthDate => "BIRTH_DATE",
        }
    }

    /// The class of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.label() == name)
    }

    /// Its place in [`Class::ALL`]: lower wins.
    pub(crate) fn rank(self) -> usize {
        Self::ALL.iter().position(|class| *class == self).unwrap_or(usize::MAX)
    }
}

/// Some of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ClassSet(u16);

impl ClassSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn of(classes: &[Class]) -> Self {
        let mut bits = 0;
        let mut rest = classes;
        while let [class, more @ ..] = rest {
            bits |= 1 << *class as u16;
            rest = more;
        }
        Self(bits)
    }

    /// Whether a class is among them.
    #[must_use]
    pub const fn holds(self, class: Class) -> bool {
        self.0 & (1 << class as u16) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each of them, in the order of [`Class::ALL`].
    pub fn each(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.holds(*class))
    }
}
