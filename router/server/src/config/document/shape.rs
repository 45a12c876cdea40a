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
use super::super::path::FieldPath;
use super::Document;
use super::expand::Found;
use super::node::{Mark, Node};

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
                shaped.problems.push(locate(document, problem));
                if !more {
                    break;
                }
                shaped.removed.push(gone);
            }
        }
    }
    shaped
}

/// A problem's path, place and text.
fn locate(document: &Document, problem: Problem) -> (FieldPath, Mark, Issue) {
    let path = problem.path();
    let mark = if problem.on_key { document.key_mark(&path) } else { document.mark(&problem.container()) };
    let issue = problem.issue();
    let issue = if issue.code == Code::UnknownField { issue } else { issue.found_at(document, &path) };
    (path, mark, issue)
}
