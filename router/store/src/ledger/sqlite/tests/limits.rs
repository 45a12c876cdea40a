//! Troubles that belong to a whole process: permissions, which the superuser does not have, and the
//! largest size of a file. Each runs this test binary again as the process that has the trouble.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::*;

/// Tells the process that is run again where to work.
const PLACE: &str = "ATP_TEST_LEDGER_PLACE";

#[expect(clippy::disallowed_methods, reason = "a test's word to itself, not configuration")]
fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

/// Runs one of this file's inner tests in a process of its own, behind `before`, and shows what it said
/// if it failed.
fn again(before: &[&str], program: &Path, test: &str, place: &Path) {
    let (first, rest) = before.split_first().unwrap();
    let mut command = Command::new(first);
    command.args(rest).arg(program).args(["--exact", "--ignored", "--nocapture", test]).env(PLACE, place);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
fn a_file_without_permission_to_write_is_tried_until_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("data");
    fs::create_dir(&place).unwrap();
    let test = "ledger::sqlite::tests::limits::inner_without_permission";
    if fs::metadata(&place).unwrap().uid() != 0 {
        return again(&["env"], &program(), test, &place);
    }
    // The superuser may write everything: run as nobody, with a copy that nobody may read.
    let copy = directory.path().join("program");
    fs::copy(program(), &copy).unwrap();
    for path in [directory.path(), &place, &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::os::unix::fs::chown(&place, Some(65_534), Some(65_534)).unwrap();
    again(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], &copy, test, &place);
}

#[test]
#[ignore = "run by the test above, in a process that is not the superuser's"]
fn inner_without_permission() {
    let directory = place().unwrap();
    let path = directory.join("ledger.db");
    let (ledger, writer) = SqliteLedger::open(quick(&path)).unwrap();
    ledger.record(row(1));
    assert_eq!(ledger.flush(PATIENCE), 0);
    assert_eq!(writer.close(PATIENCE), 0);
    let modes = |file: u32, dir: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(file)).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(dir)).unwrap();
    };
    modes(0o400, 0o500);
    let (ledger, _writer) = SqliteLedger::open(quick(&path)).unwrap();
    (2..10).for_each(|at| ledger.record(row(at)));
    assert_eq!(ledger.flush(MOMENT), 8);
    let stats = ledger.stats();
    assert!(!stats.up && stats.last_error.is_some(), "{stats:?}");
    modes(0o600, 0o700);
    assert_eq!(ledger.flush(PATIENCE), 0);
    assert_eq!((ledger.recent(100).unwrap().len(), ledger.stats().lost), (9, 0));
}

#[test]
fn a_disk_that_takes_no_more_costs_the_oldest_rows_until_it_does() {
    let directory = tempfile::tempdir().unwrap();
    // The limit is in blocks of 512 or 1024 bytes, as the shell likes; the signal that comes with it
    // is ignored, so that writing fails as it does on a full disk.
    let script = "trap '' XFSZ; ulimit -S -f 400; exec \"$@\"";
    let test = "ledger::sqlite::tests::limits::inner_full_disk";
    again(&["sh", "-c", script, "sh"], &program(), test, directory.path());
}

#[test]
#[ignore = "run by the test above, in a process that may write only small files"]
fn inner_full_disk() {
    let path = place().unwrap().join("ledger.db");
    let (ledger, _writer) = SqliteLedger::open(LedgerConfig { queue_rows: 2_000, ..quick(&path) }).unwrap();
    let mut next = 0;
    until("the disk is full", || {
        (next..next + 500).for_each(|at| ledger.record(row(at)));
        next += 500;
        ledger.flush(MOMENT);
        !ledger.stats().up
    });
    until("rows are lost", || {
        (next..next + 500).for_each(|at| ledger.record(row(at)));
        next += 500;
        ledger.flush(MOMENT);
        ledger.stats().lost > 0
    });
    assert!(ledger.stats().queued <= 4_000);
    let me = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &me, "--fsize=unlimited"]).status().unwrap();
    assert!(raised.success());
    assert_eq!(ledger.flush(PATIENCE), 0);
    let stats = ledger.stats();
    assert!(stats.up, "{stats:?}");
    assert_eq!(stats.written + stats.lost, next, "every row is written or counted");
    assert_eq!(ledger.recent(1_000_000).unwrap().len() as u64, stats.written);
    assert_eq!(ledger.recent(1).unwrap()[0].id, row(next - 1).id.to_string(), "the newest is kept");
}
