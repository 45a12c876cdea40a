//! Functions and test code, found in masked source text.

use std::collections::BTreeSet;
use std::ops::Range;

use super::lexer::{Masked, is_word, mask};
use super::tree::{File, Tree};

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of `fn`, counted from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
    /// Each parameter as written, the receiver included.
    pub(crate) params: Vec<String>,
    /// Whether it is `pub` without restriction.
    pub(crate) public: bool,
    /// Whether it is test code.
    pub(crate) test: bool,
}

/// An item that is compiled for tests only.
#[derive(Debug)]
pub(crate) struct TestItem {
    /// The line of its attribute, counted from 1.
    pub(crate) line: usize,
    /// Lines from the attribute to the end.
    pub(crate) lines: usize,
    /// The module's name where it is a module.
    pub(crate) module: Option<String>,
    /// Its bytes.
    range: Range<usize>,
}

/// A Rust file, taken apart.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The file.
    pub(crate) file: &'a File,
    /// Its code without comments and literals.
    pub(crate) masked: Masked,
    /// Its functions, test code included.
    pub(crate) functions: Vec<Function>,
    /// Its test items.
    pub(crate) test_items: Vec<TestItem>,
    /// Whether the file as a whole is test code.
    pub(crate) test: bool,
}

impl Source<'_> {
    /// Lines that go into the product.
    pub(crate) fn production_lines(&self) -> usize {
        let all = self.file.text.lines().count();
        let inline: usize = self.test_items.iter().map(|item| item.lines).sum();
        if self.test { 0 } else { all.saturating_sub(inline) }
    }
}

/// Every Rust file of the tree.
#[derive(Debug)]
pub(crate) struct Sources<'a>(pub(crate) Vec<Source<'a>>);

impl<'a> Sources<'a> {
    /// Takes every `.rs` file apart. A file is test code by its place, or because a parent declares it
    /// as a test module.
    pub(crate) fn parse(tree: &'a Tree) -> Self {
        let mut sources: Vec<Source<'a>> =
            tree.files().iter().filter(|file| file.extension() == "rs").map(parse).collect();
        let declared: BTreeSet<String> = sources.iter().flat_map(declared_test_files).collect();
        for source in &mut sources {
            source.test |= declared.contains(&source.file.path);
            if source.test {
                source.functions.iter_mut().for_each(|function| function.test = true);
            }
        }
        Self(sources)
    }
}

fn parse(file: &File) -> Source<'_> {
    let masked = mask(&file.text);
    let test_items = test_items(&masked.code);
    let functions = functions(&masked.code, &test_items);
    let by_place = ["tests", "benches", "fuzz", "examples"].iter().any(|folder| file.is_below(folder));
    Source { file, masked, functions, test_items, test: by_place || file.name() == "tests.rs" }
}

/// The files of `#[cfg(test)] mod name;` declarations.
fn declared_test_files(source: &Source<'_>) -> Vec<String> {
    let path = source.file.path.as_str();
    let folder = match path.rsplit_once('/') {
        Some((folder, "lib.rs" | "main.rs")) => folder,
        _ => path.strip_suffix(".rs").unwrap_or(path),
    };
    source.test_items.iter().filter_map(|item| item.module.as_ref()).map(|name| format!("{folder}/{name}.rs")).collect()
}

fn functions(code: &str, tests: &[TestItem]) -> Vec<Function> {
    let starts = code.match_indices("fn ").map(|(at, _)| at);
    let whole_word = |at: &usize| !code.get(..*at).unwrap_or_default().ends_with(is_word);
    starts.filter(whole_word).filter_map(|at| function(code, at, tests)).collect()
}

fn function(code: &str, at: usize, tests: &[TestItem]) -> Option<Function> {
    let after = at + "fn ".len();
    let name: String = code.get(after..)?.chars().take_while(|c| is_word(*c)).collect();
    if name.is_empty() {
        return None;
    }
    let open = parameters_at(code, after + name.len())?;
    let close = closing(code, open)?;
    let body = body_at(code, close)?;
    let end = closing(code, body)?;
    Some(Function {
        name,
        line: line_of(code, at),
        lines: code.get(at..end)?.matches('\n').count() + 1,
        params: split_parameters(code.get(open + 1..close)?),
        public: is_public(code.get(..at)?),
        test: tests.iter().any(|item| item.range.contains(&at)),
    })
}

/// The parenthesis that opens the parameters, behind the generics if there are any.
fn parameters_at(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut before = ' ';
    for (at, c) in code.get(from..)?.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth = depth.saturating_sub(1),
            '(' if depth == 0 => return Some(from + at),
            '{' | ';' if depth == 0 => return None,
            _ => {}
        }
        before = c;
    }
    None
}

/// The brace that opens the body; `None` for a declaration without one.
fn body_at(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in code.get(from + 1..)?.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' if depth == 0 => return Some(from + 1 + at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The offset of the bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in code.get(open..)?.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(open + at);
                }
            }
            _ => {}
        }
    }
    None
}

fn split_parameters(text: &str) -> Vec<String> {
    let mut params = vec![String::new()];
    let (mut depth, mut before) = (0usize, ' ');
    for c in text.chars() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '>' if before != '-' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match params.last_mut() {
            Some(last) if c != ',' || depth > 0 => last.push(c),
            _ => params.push(String::new()),
        }
        before = c;
    }
    params.iter().map(|param| param.trim().to_owned()).filter(|param| !param.is_empty()).collect()
}

/// Whether the words before `fn` hold an unrestricted `pub`.
fn is_public(before: &str) -> bool {
    let words = before.split_whitespace().rev().take_while(|word| {
        matches!(*word, "pub" | "async" | "const" | "unsafe" | "extern") || word.chars().all(|c| c == '"')
    });
    words.into_iter().any(|word| word == "pub")
}

/// Items behind an attribute that names `test` or `loom` in a `cfg`.
fn test_items(code: &str) -> Vec<TestItem> {
    let mut items: Vec<TestItem> = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let inside_another = items.iter().any(|item| item.range.contains(&at));
        if !inside_another && let Some(item) = test_item(code, at) {
            items.push(item);
        }
    }
    items
}

fn test_item(code: &str, at: usize) -> Option<TestItem> {
    let close = closing(code, at + 1)?;
    let condition = code.get(at..close)?;
    let names_test = condition.split(|c| !is_word(c)).any(|word| word == "test" || word == "loom");
    if !names_test || condition.contains("not(") {
        return None;
    }
    let mut start = close + 1;
    // Further attributes may stand between the condition and its item.
    while let Some(next) = next_attribute(code, start) {
        start = next;
    }
    let rest = code.get(start..)?;
    let end_of_head = rest.find(['{', ';'])?;
    let head = rest.get(..end_of_head)?;
    let end = if rest.as_bytes().get(end_of_head) == Some(&b'{') {
        closing(code, start + end_of_head)?
    } else {
        start + end_of_head
    };
    Some(TestItem {
        line: line_of(code, at),
        lines: code.get(at..end)?.matches('\n').count() + 1,
        module: module_name(head),
        range: at..end + 1,
    })
}

/// The offset behind the attribute that comes next, if one does.
fn next_attribute(code: &str, from: usize) -> Option<usize> {
    let rest = code.get(from..)?;
    let skipped = rest.len() - rest.trim_start().len();
    rest.trim_start().starts_with("#[").then_some(())?;
    closing(code, from + skipped + 1).map(|close| close + 1)
}

fn module_name(head: &str) -> Option<String> {
    let mut words = head.split_whitespace().skip_while(|word| word.starts_with("pub"));
    (words.next() == Some("mod")).then(|| words.next().map(str::to_owned)).flatten()
}

/// The line of a byte offset, counted from 1.
pub(crate) fn line_of(code: &str, at: usize) -> usize {
    code.get(..at).unwrap_or_default().matches('\n').count() + 1
}
