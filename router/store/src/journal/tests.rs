//! Real files in a directory of their own.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(directory: &Path) -> JournalConfig {
    let rules = |max_bytes| Some(FileRules { max_bytes, ..FileRules::at(directory) });
    JournalConfig {
        decisions: rules(1_000),
        observations: rules(100 << 20),
        lifecycle: rules(150),
        flush_interval: Duration::from_millis(5),
        ..JournalConfig::default()
    }
}

/// Every file by name, unpacked.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // What is being packed is not there yet, and then its other form is no more.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if name.ends_with(".tmp") {
            continue;
        }
        let mut text = String::new();
        if name.ends_with(".gz") {
            flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes).unwrap();
        }
        all.insert(name, text);
    }
    all
}

fn line(number: usize) -> String {
    format!("{{\"line\":{number:090}}}")
}

/// Waits until the packer has come as far as the test looks for.
fn eventually(what: impl Fn() -> bool) {
    let end = clock::now() + PATIENCE;
    while !what() {
        assert!(clock::now() < end, "it did not come about in time");
        std::thread::yield_now();
    }
}

#[test]
fn lines_stand_in_their_files_in_order_and_firsts_begin_new_ones() {
    let directory = tempfile::tempdir().unwrap();
    let (files_port, writer) = Files::open(config(directory.path())).unwrap();
    let mut firsts = Vec::new();
    for number in 0..100 {
        match files_port.write(JournalFile::Decisions, line(number)) {
            Kept::First => firsts.push(line(number)),
            kept => assert_eq!(kept, Kept::Queued),
        }
    }
    assert_eq!(files_port.flush(PATIENCE), 0);
    assert_eq!(writer.close(PATIENCE), 0);
    let files = files(directory.path());
    let mut in_order: Vec<(u32, &String)> =
        files.iter().map(|(name, text)| (name.split('.').nth(1).unwrap().parse().unwrap(), text)).collect();
    in_order.sort_unstable();
    let all: String = in_order.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(all, (0..100).map(|number| line(number) + "\n").collect::<String>());
    assert!(in_order.iter().all(|(_, text)| text.len() <= 1_000));
    let begins: Vec<String> = in_order.iter().map(|(_, text)| text.lines().next().unwrap().to_owned()).collect();
    assert_eq!(begins, firsts, "the lines that were called first are the first ones");
    assert_eq!(files_port.stats().written, FileCounts { decisions: 100, ..FileCounts::default() });
}

#[test]
fn a_file_that_is_done_is_packed() {
    let directory = tempfile::tempdir().unwrap();
    let (port, writer) = Files::open(config(directory.path())).unwrap();
    for number in 0..30 {
        port.write(JournalFile::Decisions, line(number));
        port.flush(PATIENCE);
    }
    let packed = || files(directory.path()).keys().filter(|name| name.ends_with(".jsonl.gz")).count();
    eventually(|| packed() >= 1);
    assert_eq!(writer.close(PATIENCE), 0);
    let (_port, writer) = Files::open(config(directory.path())).unwrap();
    eventually(|| files(directory.path()).keys().all(|name| name.ends_with(".jsonl.gz")));
    assert_eq!(writer.close(PATIENCE), 0);
    let text: String = files(directory.path()).into_values().collect();
    assert_eq!(text.lines().count(), 30, "packing loses nothing");
}

#[test]
fn a_process_that_begins_takes_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (first, first_writer) = Files::open(config(directory.path())).unwrap();
    let (second, second_writer) = Files::open(config(directory.path())).unwrap();
    for (port, number) in [(&first, 1), (&second, 2), (&first, 3), (&second, 4)] {
        port.write(JournalFile::Decisions, line(number));
        port.flush(PATIENCE);
    }
    let texts: Vec<String> = files(directory.path()).into_values().collect();
    assert_eq!(texts, [line(1) + "\n" + &line(3) + "\n", line(2) + "\n" + &line(4) + "\n"]);
    assert_eq!((first_writer.close(PATIENCE), second_writer.close(PATIENCE)), (0, 0));
}

#[test]
fn a_new_day_begins_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let shared = Shared::new(config(directory.path()));
    let day = names::DAY_MS;
    let push = |text: &str, at| shared.push(JournalFile::Observations, String::from(text), at);
    assert_eq!(push("a", 20_000 * day - 1), Kept::First);
    assert_eq!(push("b", 20_000 * day), Kept::First);
    assert_eq!(push("c", 20_000 * day - 1), Kept::Queued, "a clock that was set back stays in its file");
    assert_eq!(push("d", 20_001 * day - 1), Kept::Queued);
}

#[test]
fn lifecycle_goes_on_over_days_and_restarts_until_it_is_full() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..3 {
        let (port, writer) = Files::open(config(directory.path())).unwrap();
        port.write(JournalFile::Lifecycle, line(number));
        assert_eq!(writer.close(PATIENCE), 0);
    }
    let files = files(directory.path());
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(files["lifecycle.jsonl"], line(2) + "\n");
}

#[test]
fn what_finds_no_room_is_lost_at_once_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("file");
    std::fs::write(&blocked, "in the way of a directory").unwrap();
    let config = JournalConfig { queue_lines: 3, ..config(&blocked) };
    let (port, writer) = Files::open(config).unwrap();
    let kept: Vec<Kept> = (0..5).map(|number| port.write(JournalFile::Decisions, line(number))).collect();
    assert_eq!(kept, [Kept::First, Kept::Queued, Kept::Queued, Kept::Lost, Kept::Lost]);
    eventually(|| !port.stats().up);
    let stats = port.stats();
    assert_eq!((stats.lost.decisions, stats.queued), (2, 3));
    assert!(stats.last_error.unwrap().contains("file"));
    std::fs::remove_file(&blocked).unwrap();
    eventually(|| port.stats().queued == 0);
    assert!(port.stats().up, "it goes on once the way is free");
    assert_eq!(files(&blocked).into_values().collect::<String>().lines().count(), 3);
    assert_eq!(writer.close(PATIENCE), 0);
}

#[test]
fn a_file_that_somebody_took_away_is_followed_by_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let (port, writer) = Files::open(config(directory.path())).unwrap();
    assert_eq!(port.write(JournalFile::Decisions, line(1)), Kept::First);
    port.flush(PATIENCE);
    let taken = files(directory.path()).into_keys().next().unwrap();
    std::fs::remove_file(directory.path().join(&taken)).unwrap();
    assert_eq!(port.write(JournalFile::Decisions, line(2)), Kept::Queued);
    port.flush(PATIENCE);
    assert_eq!(port.write(JournalFile::Decisions, line(3)), Kept::First, "who writes is told to begin anew");
    port.flush(PATIENCE);
    assert_eq!(writer.close(PATIENCE), 0);
    let text: String = files(directory.path()).into_values().collect();
    assert!(text.contains(&line(2)) && text.contains(&line(3)));
}

#[test]
fn files_that_are_old_enough_are_deleted_and_strangers_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let keep = Some(FileRules { keep: Some(Duration::from_secs(86_400)), ..FileRules::at(directory.path()) });
    let today = names::Day::of(clock::unix_millis());
    let name = |ago: u64| names::dated(JournalFile::Decisions, names::Day(today.0 - ago), 0);
    for name in [name(9) + ".gz", name(3), name(1) + ".gz", String::from("notes-2001-01-01.0.jsonl")] {
        std::fs::write(directory.path().join(name), []).unwrap();
    }
    let (_port, writer) = Files::open(JournalConfig { decisions: keep, ..JournalConfig::default() }).unwrap();
    eventually(|| std::fs::read_dir(directory.path()).unwrap().count() == 2);
    assert_eq!(writer.close(PATIENCE), 0);
    let left: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(left.contains(&(name(1) + ".gz")) && left.contains(&String::from("notes-2001-01-01.0.jsonl")));
}

#[test]
fn kinds_that_are_not_configured_cost_nothing() {
    let (port, writer) = Files::open(JournalConfig::default()).unwrap();
    assert_eq!(port.write(JournalFile::Lifecycle, line(1)), Kept::Queued);
    assert_eq!((port.stats().queued, port.stats().written), (0, FileCounts::default()));
    assert_eq!(writer.close(PATIENCE), 0);
    assert_eq!(port.write(JournalFile::Decisions, line(1)), Kept::Queued);
}
