//! How long files, functions, parameter lists and inline tests may be.

use std::collections::BTreeSet;

use super::Findings;
use super::allow::{AllowList, Entry};
use super::items::{Function, Source, Sources};

/// Production lines of a file: above the first a warning, above the second a failure.
const FILE_LINES: (usize, usize) = (400, 600);
/// Lines of a function: above the first a warning, above the second a failure.
const FUNCTION_LINES: (usize, usize) = (50, 80);
/// Parameters of a function, the receiver included.
const PARAMETERS: usize = 7;
/// Lines of a test module inside the file that it tests; longer ones live in `foo/tests.rs`.
const INLINE_TEST_LINES: usize = 100;

/// Checks every source file.
pub(crate) fn check(sources: &Sources<'_>, allow: &AllowList, findings: &mut Findings) {
    let mut used = BTreeSet::new();
    for source in &sources.0 {
        let path = source.file.path.as_str();
        let lines = source.production_lines();
        let mut limit = Limit { path, function: None, limits: FILE_LINES, allow, used: &mut used };
        limit.check(path, lines, findings);
        for function in source.functions.iter().filter(|function| !function.test) {
            let at = format!("{path}:{} fn {}", function.line, function.name);
            let mut limit =
                Limit { path, function: Some(&function.name), limits: FUNCTION_LINES, allow, used: &mut used };
            limit.check(&at, function.lines, findings);
            check_parameters(&at, function, findings);
        }
        check_inline_tests(source, findings);
    }
    let unused = |entry: &&Entry| !used.contains(&(entry.path.clone(), entry.function.clone()));
    for entry in allow.entries().iter().filter(unused) {
        findings.fail(&entry.path, format!("its entry for {} in the allow-list is not needed; remove it", what(entry)));
    }
}

fn what(entry: &Entry) -> &str {
    entry.function.as_deref().unwrap_or("the whole file")
}

struct Limit<'a> {
    path: &'a str,
    function: Option<&'a str>,
    limits: (usize, usize),
    allow: &'a AllowList,
    used: &'a mut BTreeSet<(String, Option<String>)>,
}

impl Limit<'_> {
    fn check(&mut self, at: &str, lines: usize, findings: &mut Findings) {
        let (soft, hard) = self.limits;
        if lines > hard {
            match self.allow.find(self.path, self.function) {
                Some(entry) if entry.lines == lines => {}
                Some(entry) if entry.lines > lines => {
                    findings.fail(
                        at,
                        format!("has {lines} lines; lower its entry in the allow-list, which says {}", entry.lines),
                    );
                }
                _ => findings.fail(at, format!("has {lines} lines; at most {hard}, better {soft}: split it by idea")),
            }
            self.used.insert((self.path.to_owned(), self.function.map(str::to_owned)));
        } else if lines > soft {
            findings.warn(at, format!("has {lines} lines of {hard}"));
        }
    }
}

fn check_parameters(at: &str, function: &Function, findings: &mut Findings) {
    if function.params.len() > PARAMETERS {
        findings.fail(at, format!("takes {} parameters; at most {PARAMETERS}: group them", function.params.len()));
    }
    let boolean = |param: &&String| param.rsplit_once(':').is_some_and(|(_, kind)| kind.trim() == "bool");
    if function.public
        && let Some(param) = function.params.iter().find(boolean)
    {
        findings.fail(at, format!("takes `{param}`; a caller cannot read what true means: use an enum"));
    }
}

fn check_inline_tests(source: &Source<'_>, findings: &mut Findings) {
    for item in source.test_items.iter().filter(|item| item.module.is_some() && item.lines > INLINE_TEST_LINES) {
        let at = format!("{}:{}", source.file.path, item.line);
        let text =
            format!("{} lines of inline tests; over {INLINE_TEST_LINES} they live in a file of their own", item.lines);
        findings.fail(at, text);
    }
}
