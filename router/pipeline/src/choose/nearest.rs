//! Names that are near to a misspelt one.

/// Longer names are not compared: the work grows with the square of the length, and a caller
/// chooses it.
const LONGEST: usize = 64;
/// How many names are looked at and told.
const LOOKED_AT: usize = 256;
const TOLD: usize = 3;

/// Up to three of `names` that are near to `asked`, the nearest first.
pub(super) fn names<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    if asked.len() > LONGEST {
        return Vec::new();
    }
    let limit = (asked.len() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .take(LOOKED_AT)
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (distance(asked, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.into_iter().take(TOLD).map(|(_, name)| name).collect()
}

/// How many characters have to be put in, taken out or changed (Levenshtein), case ignored.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let changed = diagonal + usize::from(from != *to);
            diagonal = *cell;
            before = changed.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_textbook_ones() {
        for (left, right, expected) in
            [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("GPT-4o", "gpt-4o", 0), ("flaw", "lawn", 2)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn the_nearest_come_first_and_far_ones_not_at_all() {
        let known = ["gpt-4o", "gpt-4o-mini", "gpt-4", "claude-sonnet"];
        assert_eq!(names("gpt-4p", known.into_iter()), ["gpt-4", "gpt-4o"]);
        assert_eq!(names("gtp-4o", known.into_iter()), ["gpt-4o"]);
        assert!(names("zzzzzz", known.into_iter()).is_empty());
        assert!(names(&"g".repeat(10_000), known.into_iter()).is_empty());
    }
}
