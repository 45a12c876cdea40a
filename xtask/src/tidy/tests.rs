//! Every rule, once kept and once broken.

use super::allow::AllowList;
use super::items::Sources;
use super::lexer::mask;
use super::tree::Tree;
use super::{Findings, check, edges, sizes, text, words};

/// What `cargo xtask tidy` says, as a test, so that no other command is needed to hold the rules.
#[test]
fn this_repository_is_tidy() {
    let mut out = Vec::new();
    let kept = super::run(crate::root(), &mut out).unwrap();
    assert!(kept, "{}", String::from_utf8_lossy(&out));
}

fn sized(files: &[(&str, &str)], allow: &str) -> Findings {
    let tree = Tree::of(files);
    let mut findings = Findings::default();
    sizes::check(&Sources::parse(&tree), &AllowList::parse(allow).unwrap(), &mut findings);
    findings
}

fn worded(path: &str, source: &str) -> Vec<String> {
    let tree = Tree::of(&[(path, source)]);
    let mut findings = Findings::default();
    words::check(&Sources::parse(&tree), &mut findings);
    findings.failures
}

fn texted(path: &str, content: &str) -> Vec<String> {
    let mut findings = Findings::default();
    text::check(&Tree::of(&[(path, content)]), &mut findings);
    findings.failures
}

fn edged(path: &str, manifest: &str) -> Vec<String> {
    let mut findings = Findings::default();
    edges::check(&Tree::of(&[(path, manifest)]), &mut findings);
    findings.failures.retain(|failure| failure.starts_with(path));
    findings.failures
}

/// A function of `lines` lines.
fn function(head: &str, lines: usize) -> String {
    format!("{head} {{\n{}}}\n", "    work();\n".repeat(lines - 2))
}

#[test]
fn comments_and_literals_are_blank_and_offsets_stay() {
    let source =
        "let a = \"{ \\\" {\"; // {\nlet b = r#\"{\"{\"#; /* { /* { */ */ let c = '{'; let d = '\\''; fn e<'a>() {}\n";
    let masked = mask(source);
    assert_eq!(masked.code.len(), source.len());
    assert_eq!(masked.code.matches('{').count(), 1, "{}", masked.code);
    assert!(masked.code.contains("fn e<'a>() {}"));
    assert_eq!(masked.comments.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_name_that_ends_in_r_does_not_begin_a_raw_string() {
    assert!(mask("m!(bar\"x\"); y").code.contains("bar"));
    assert!(mask("let r#type = 1; let x = 2;").code.contains("r#type = 1; let x"));
}

#[test]
fn a_function_of_eighty_lines_passes_and_one_more_fails() {
    let head = "pub fn walk<F: Fn(u32) -> u32>(f: F, bytes: [u8; 4]) -> Vec<u8>\nwhere F: Send,";
    assert!(sized(&[("a.rs", &function(head, 79))], "").failures.is_empty());
    let findings = sized(&[("a.rs", &function(head, 80))], "");
    assert_eq!(findings.failures, ["a.rs:1 fn walk: has 81 lines; at most 80, better 50: split it by idea"]);
}

#[test]
fn code_for_tests_does_not_count() {
    let inline = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function("fn long()", 90));
    assert!(sized(&[("a.rs", &inline)], "").failures.is_empty());
    assert!(sized(&[("a/tests.rs", &function("fn long()", 700))], "").failures.is_empty());
    let declared = [("src/a.rs", "#[cfg(test)]\nmod kit;\n"), ("src/a/kit.rs", &function("fn long()", 90))];
    assert!(sized(&declared, "").failures.is_empty());
    assert_eq!(sized(&[("src/a.rs", "mod kit;\n"), declared[1]], "").failures.len(), 1);
    let excluded = format!("#[cfg(not(test))]\n{}", function("fn long()", 90));
    assert_eq!(sized(&[("a.rs", &excluded)], "").failures.len(), 1);
}

#[test]
fn inline_tests_over_a_hundred_lines_move_out() {
    let inline = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // x\n".repeat(110));
    assert_eq!(sized(&[("a.rs", &inline)], "").failures.len(), 1);
}

#[test]
fn a_long_file_needs_an_entry_that_fits_exactly() {
    let long = "// x\n".repeat(601);
    let entry = |lines: usize| format!("[[long]]\npath = \"a.rs\"\nlines = {lines}\nreason = \"one table\"\n");
    assert_eq!(sized(&[("a.rs", &long)], "").failures.len(), 1);
    assert!(sized(&[("a.rs", &long)], &entry(601)).failures.is_empty());
    assert!(sized(&[("a.rs", &long)], &entry(650)).failures[0].contains("lower its entry"));
    assert_eq!(sized(&[("a.rs", &long)], &entry(600)).failures.len(), 1);
    assert!(sized(&[("a.rs", "// x\n")], &entry(601)).failures[0].contains("remove it"));
    assert_eq!(sized(&[("a.rs", &"// x\n".repeat(401))], "").warnings.len(), 1);
    assert!(AllowList::parse("[[long]]\npath = \"a.rs\"\nlines = 1\n").is_err());
}

#[test]
fn parameters_are_counted_outside_their_types() {
    let seven =
        "fn a(&self, b: HashMap<u8, u8>, c: impl Fn(u8, u8) -> u8, d: [u8; 2], e: (u8, u8), f: u8, g: u8,) {}\n";
    assert!(sized(&[("a.rs", seven)], "").failures.is_empty());
    assert_eq!(sized(&[("a.rs", &seven.replace("g: u8", "g: u8, h: u8"))], "").failures.len(), 1);
}

#[test]
fn public_functions_take_no_bool() {
    assert_eq!(sized(&[("a.rs", "pub async fn a(on: bool) {}\n")], "").failures.len(), 1);
    assert_eq!(sized(&[("a.rs", "pub const fn a(x: u8, on: bool) -> u8 { x }\n")], "").failures.len(), 1);
    assert!(sized(&[("a.rs", "pub(crate) fn a(on: bool) {}\nfn b(on: bool) {}\n")], "").failures.is_empty());
    assert!(sized(&[("a.rs", "pub fn a(on: Option<bool>) -> bool { true }\n")], "").failures.is_empty());
}

#[test]
fn every_module_says_what_it_is_for() {
    assert!(worded("a.rs", "//! Things.\n").is_empty());
    assert!(worded("a.rs", "#![no_main]\n//! Things.\n").is_empty());
    assert_eq!(worded("a.rs", "use x;\n//! Things.\n").len(), 1);
    assert_eq!(worded("a.rs", "").len(), 1);
    assert_eq!(worded("a.rs", "//!\n").len(), 1);
}

#[test]
fn file_names_are_nouns_of_the_problem() {
    assert_eq!(worded("a/mod.rs", "//! X.\n").len(), 1);
    assert_eq!(worded("a/utils.rs", "//! X.\n").len(), 1);
    assert_eq!(worded("a/Scan.rs", "//! X.\n").len(), 1);
}

#[test]
fn unfinished_work_is_seen_in_code_and_not_in_text() {
    assert_eq!(worded("a.rs", &format!("//! X.\nfn a() {{ {}!() }}\n", "todo")).len(), 1);
    assert!(worded("a.rs", "//! X.\nfn a() { say(\"todo!\") } // a todo!() here is talk\n").is_empty());
    assert_eq!(worded("a.rs", "//! X.\n// TODO: later\n").len(), 1);
    assert!(worded("a.rs", "//! X.\n// TODO(ana): raise when the limit moves\n").is_empty());
    assert_eq!(worded("a.rs", "//! X.\n/* FIXME */\n").len(), 1);
}

#[test]
fn tests_are_named_after_claims() {
    let source = "//! X.\n#[cfg(test)]\nmod tests {\n#[test]\nfn test_a() {}\n}\n";
    assert_eq!(worded("a.rs", source).len(), 1);
    assert!(worded("a.rs", &source.replace("test_a", "a_holds")).is_empty());
}

#[test]
fn stray_space_is_seen_but_recorded_bytes_are_left_alone() {
    assert_eq!(texted("a.md", "x \n").len(), 1);
    assert_eq!(texted("a.rs", "\tx\n").len(), 1);
    assert_eq!(texted("a.py", "x").len(), 1);
    assert!(texted("Makefile", "a:\n\tb\n").is_empty());
    assert!(texted("x/golden/a.txt", "x \r\n\r").is_empty());
}

#[test]
fn open_work_in_scripts_needs_an_owner_too() {
    assert_eq!(texted("a.py", "x = 1  # TODO later\n").len(), 1);
    assert!(texted("a.py", "x = 1  # TODO(ana) later\ny = \"TODO\"\n").is_empty());
}

#[test]
fn places_outside_the_repository_are_not_named() {
    let host = ["crates", ".io"].concat();
    assert_eq!(texted("a.md", &format!("from {host}\n")).len(), 1);
    assert!(texted("Cargo.lock", &format!("from {host}\n")).is_empty());
    let folder = ["/wo", "rk/"].concat();
    assert_eq!(texted("a.sh", &format!("cd {folder}x\n")).len(), 1);
    assert!(texted("a.sh", &format!("cd net{folder}x ..{folder}\n")).is_empty());
}

#[test]
fn an_edge_that_is_not_in_the_table_fails() {
    let manifest = |edge: &str| format!("[package]\nname = \"atp-core\"\nlicense = \"x\"\n{edge}\n");
    let path = "router/core/Cargo.toml";
    assert!(edged(path, &manifest("[dependencies]\nhttp = \"1\"\n")).is_empty());
    assert_eq!(edged(path, &manifest("[dependencies]\natp-routing.workspace = true\n")).len(), 1);
    assert_eq!(edged(path, &manifest("[dev-dependencies]\natp-routing.workspace = true\n")).len(), 1);
    assert_eq!(edged(path, &manifest("[target.'cfg(unix)'.dependencies]\natp-store.workspace = true\n")).len(), 1);
    assert_eq!(edged(path, &manifest("[dependencies]\nx = { package = \"atp-store\", path = \"y\" }\n")).len(), 1);
    assert_eq!(edged(path, &manifest("[dependencies]\ntokio = \"1\"\n")).len(), 1);
    assert!(edged(path, &manifest("[dev-dependencies]\ntokio = \"1\"\n")).is_empty());
}

#[test]
fn a_package_has_a_licence_a_row_and_its_own_folder() {
    assert_eq!(edged("router/core/Cargo.toml", "[package]\nname = \"atp-core\"\n").len(), 1);
    assert_eq!(edged("new/Cargo.toml", "[package]\nname = \"atp-new\"\nlicense = \"x\"\n").len(), 1);
    assert_eq!(edged("core/Cargo.toml", "[package]\nname = \"atp-core\"\nlicense = \"x\"\n").len(), 1);
    assert!(edged("a/fuzz/Cargo.toml", "[package]\nname = \"a-fuzz\"\nlicense = \"x\"\n").is_empty());
}

#[test]
fn a_row_without_a_crate_is_stale() {
    let findings = check(&Tree::default()).unwrap();
    assert!(findings.failures.iter().any(|failure| failure.contains("`atp-core` is in the table and not in the tree")));
}
