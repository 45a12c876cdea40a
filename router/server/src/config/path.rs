//! Where a value stands in the configuration: `models["gpt-4.1"].targets[0].provider`.

use std::fmt;

/// One step down from a map or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Into a map.
    Key(String),
    /// Into a list, counted from zero.
    Index(usize),
}

/// The steps from the top of the file to a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FieldPath(pub(super) Vec<Segment>);

impl FieldPath {
    /// A path of map keys only.
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Segment::Key((*key).to_owned())).collect())
    }

    /// The path of a map's entry.
    pub(super) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Segment::Key(key.to_owned()));
        Self(steps)
    }

    /// The path of a list's item.
    pub(super) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Segment::Index(index));
        Self(steps)
    }

    /// Whether one of the two stands inside the other, or both are the same.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine == theirs)
    }

    /// Whether this stands inside `outer`, or is the same.
    pub(super) fn is_within(&self, outer: &Self) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// The same place with another name at its end.
    pub(super) fn renamed(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.pop();
        Self(steps).key(name)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) && place == 0 => f.write_str(key)?,
                Segment::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Segment::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_a_plain_word_is_quoted() {
        let path = FieldPath::of(&["models", "gpt-4.1", "targets"]).index(0).key("provider");
        assert_eq!(path.to_string(), r#"models["gpt-4.1"].targets[0].provider"#);
    }

    #[test]
    fn overlap_is_containment_either_way() {
        let up = FieldPath::of(&["providers", "up"]);
        assert!(up.overlaps(&up.key("kind")) && up.key("kind").overlaps(&up) && up.overlaps(&up));
        assert!(!up.overlaps(&FieldPath::of(&["providers", "down"])));
    }
}
