//! From the tree to a typed value, with every problem at once.
//!
//! Serde stops at the first error. So the tree is read, the wrong part is reported and taken out, and the rest is read
//! again, until it fits. What was taken out is remembered: later checks say nothing about it.

mod de;
mod problem;

use serde::de::DeserializeOwned;

use self::de::NodeDe;
pub(crate) use self::de::nearest;
use self::problem::Problem;
use super::super::error::{Code, Issue};
use super::super::path::{FieldPath, Segment};
use super::Document;
use super::expand::Found;
use super::mask::mask_words;
use super::node::{Mark, Node, quoted};

/// More than this many errors help nobody, and bound the work on a hostile file.
const MAX_PROBLEMS: usize = 50;

/// What could be read, and what could not.
pub(crate) struct Shaped<T> {
    /// The typed value without its wrong parts; `None` where nothing is left.
    pub(crate) value: Option<T>,
    /// Each problem with the place to point at.
    pub(crate) problems: Vec<(FieldPath, Mark, Issue)>,
    /// What was taken out.
    pub(crate) removed: Vec<FieldPath>,
}

/// Reads a typed value. `broken` are parts that are wrong already.
pub(crate) fn read<T: DeserializeOwned>(document: &Document, root: &Node, broken: Vec<Found>) -> Shaped<T> {
    let mut tree = root.clone();
    let mut shaped = Shaped { value: None, problems: Vec::new(), removed: Vec::new() };
    for (path, issue) in broken.into_iter().take(MAX_PROBLEMS) {
        tree.remove(&path.0);
        let issue = issue.found_at(document, &path);
        shaped.problems.push((path.clone(), document.mark(&path), issue));
        shaped.removed.push(path);
    }
    while shaped.problems.len() < MAX_PROBLEMS {
        match T::deserialize(NodeDe(&tree)) {
            Ok(value) => {
                shaped.value = Some(value);
                break;
            }
            Err(problem) => {
                let gone = problem.container();
                let more = tree.remove(&gone.0);
                if !shaped.follows(&problem) {
                    shaped.report(locate(document, problem));
                }
                if !more {
                    break;
                }
                shaped.removed.push(gone);
            }
        }
    }
    shaped
}

impl<T> Shaped<T> {
    /// Whether a problem only follows from what was taken out: the field that is missing was reported, or the part
    /// that has become wrong held it.
    fn follows(&self, problem: &Problem) -> bool {
        let (path, outer) = (problem.path(), problem.container());
        match problem.missing() {
            Some(_) => self.removed.contains(&path),
            None => self.removed.iter().any(|removed| removed.is_within(&outer) && *removed != outer),
        }
    }

    fn report(&mut self, (path, mark, issue): (FieldPath, Mark, Issue)) {
        // The field that was meant is not missing: it is misspelt, and that has been said.
        if let (Code::UnknownField, Some(meant)) = (issue.code, &issue.nearest) {
            self.removed.push(path.renamed(meant));
        }
        self.problems.push((path, mark, issue));
    }
}

/// A problem's path, place and text.
fn locate(document: &Document, problem: Problem) -> (FieldPath, Mark, Issue) {
    let path = problem.path();
    let mark = if problem.on_key { document.key_mark(&path) } else { document.mark(&problem.container()) };
    let name = path.0.last().map(|segment| match segment {
        Segment::Key(key) => mask_words(key),
        Segment::Index(index) => index.to_string(),
    });
    let (on_key, missing) = (problem.on_key, problem.missing().is_some());
    let issue = problem.issue();
    let issue = match name {
        Some(name) if on_key => issue.found(&quoted(&name)),
        _ if missing => issue,
        _ => issue.found_at(document, &path),
    };
    (path, mark, issue)
}
