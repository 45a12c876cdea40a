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

    /// Whether what stands here may be a secret, so that its text is never shown.
    ///
    /// The innermost map key decides, and so do the keys above it: what somebody wrote below `api_key` or
    /// `headers` is hidden whatever it is called, except the names of variables and files.
    pub(super) fn is_secret(&self) -> bool {
        let keys: Vec<&str> = self.keys().collect();
        let Some((last, above)) = keys.split_last() else { return false };
        let inside = above.iter().any(|key| *key == "headers" || (*key != "keys" && names_a_secret(key)));
        match *last {
            "env" | "file" => false,
            // The private key of `tls` is a path, not the key itself.
            "key" if above == ["tls"] => false,
            "keys" if above.is_empty() => true,
            name => inside || name == "headers" || names_a_secret(name),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
    }
}

/// Whether a field of this name is likely to hold a secret, also where the name is misspelt a little.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let hints = ["key", "secret", "token", "password", "passwd", "auth", "credential", "cookie", "bearer"];
    hints.iter().any(|hint| name.contains(hint))
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
    fn secrets_are_known_by_their_place() {
        for hidden in [
            FieldPath::of(&["providers", "up", "api_key"]),
            FieldPath::of(&["providers", "up", "apikey"]),
            FieldPath::of(&["providers", "up", "api_key", "value"]),
            FieldPath::of(&["providers", "up", "headers", "x-anything"]),
            FieldPath::of(&["keys"]).index(0),
            FieldPath::of(&["keys"]).index(0).key("key"),
        ] {
            assert!(hidden.is_secret(), "{hidden}");
        }
        for shown in [
            FieldPath::of(&["providers", "up", "api_key", "env"]),
            FieldPath::of(&["providers", "up", "base_url"]),
            FieldPath::of(&["keys"]).index(0).key("name"),
            FieldPath::of(&["tls", "key"]),
        ] {
            assert!(!shown.is_secret(), "{shown}");
        }
    }

    #[test]
    fn overlap_is_containment_either_way() {
        let up = FieldPath::of(&["providers", "up"]);
        assert!(up.overlaps(&up.key("kind")) && up.key("kind").overlaps(&up) && up.overlaps(&up));
        assert!(!up.overlaps(&FieldPath::of(&["providers", "down"])));
    }
}
