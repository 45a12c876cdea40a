//! Manifests: every edge between crates of the workspace stands in the table of rooms, and every
//! package names its licence.

use std::collections::BTreeSet;

use toml::Table;

use super::Findings;
use super::rooms::{ROOMS, Room};
use super::tree::{File, Tree};

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks every `Cargo.toml` of the tree.
pub(crate) fn check(tree: &Tree, findings: &mut Findings) {
    let ours: BTreeSet<&str> = ROOMS.iter().map(|room| room.name).collect();
    let mut seen = BTreeSet::new();
    for file in tree.files().iter().filter(|file| file.name() == "Cargo.toml") {
        let Ok(manifest) = file.text.parse::<Table>() else {
            findings.fail(&file.path, "is not TOML");
            continue;
        };
        let Some(package) = manifest.get("package").and_then(toml::Value::as_table) else { continue };
        if !package.contains_key("license") {
            findings.fail(&file.path, "names no licence; write `license.workspace = true`");
        }
        let name = package.get("name").and_then(toml::Value::as_str).unwrap_or_default();
        match ROOMS.iter().find(|room| room.name == name) {
            Some(room) => {
                seen.insert(room.name);
                check_room(room, file, &manifest, &ours, findings);
            }
            None if file.is_below("fuzz") => {}
            None => {
                findings.fail(&file.path, format!("`{name}` is not in the table of rooms, xtask/src/tidy/rooms.rs"));
            }
        }
    }
    for room in ROOMS.iter().filter(|room| !seen.contains(room.name)) {
        findings.fail("xtask/src/tidy/rooms.rs", format!("`{}` is in the table and not in the tree", room.name));
    }
}

fn check_room(room: &Room, file: &File, manifest: &Table, ours: &BTreeSet<&str>, findings: &mut Findings) {
    if file.path != format!("{}/Cargo.toml", room.folder) {
        findings.fail(&file.path, format!("`{}` belongs in {}", room.name, room.folder));
    }
    for section in SECTIONS {
        for dependency in dependencies(manifest, section) {
            if ours.contains(dependency.as_str()) && !room.may.contains(&dependency.as_str()) {
                let text =
                    format!("[{section}] `{}` must not know `{dependency}`; it may know {:?}", room.name, room.may);
                findings.fail(&file.path, text);
            }
            if section == "dependencies" && room.never.contains(&dependency.as_str()) {
                findings.fail(&file.path, format!("`{}` promises to live without `{dependency}`", room.name));
            }
        }
    }
}

/// The packages named in a section, also below `[target.*]`. A renamed one counts by its real name.
fn dependencies(manifest: &Table, section: &str) -> Vec<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(|all| all.values().filter_map(toml::Value::as_table));
    std::iter::once(manifest)
        .chain(tables)
        .filter_map(|table| table.get(section).and_then(toml::Value::as_table))
        .flatten()
        .map(|(key, value)| value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned())
        .collect()
}
