//! What a row costs: on the thread that serves, and in CPU time of the whole process.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Ledger, Outcome, UsageRow};
use atp_core::{Finish, MicroUsd, Operation, RequestId, Usage};
use atp_store::{LedgerConfig, LedgerStore, LedgerWriter, SqliteLedger};
use criterion::{Criterion, Throughput};

/// Rows of one round: what one core settles in a flush interval at 25,000 requests a second.
const ROUND: u64 = 5_000;

/// Rounds of the CPU measurement.
const ROUNDS: u64 = 100;

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes rows as a pipeline does: shared names, ids that grow with time and are random below it.
struct Rows {
    names: [Arc<str>; 8],
    next: u64,
}

impl Rows {
    fn new() -> Self {
        Self { names: std::array::from_fn(|n| Arc::from(format!("name-{n}"))), next: 0 }
    }

    fn make(&mut self) -> UsageRow {
        self.next += 1;
        let n = self.next;
        // A run of rows has the same names; then the names change places.
        if n.is_multiple_of(64) {
            self.names.rotate_left(1);
        }
        let [key, tenant, model, provider, target, ..] = self.names.clone();
        let random = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 40;
        UsageRow {
            id: RequestId::from_parts(1_750_000_000_000 + n / 25, random),
            key,
            tenant,
            operation: Operation::Chat,
            model,
            chosen: None,
            provider,
            target,
            stream: n.is_multiple_of(2),
            outcome: Outcome::Served,
            error: None,
            status: 200,
            finish: Some(Finish::Stop),
            usage: Some(Usage { input: 900 + n % 100, output: 200, cached_input: 0, reasoning: 0 }),
            metered: false,
            cost: Some(MicroUsd(120)),
            attempts: 1,
            first_byte_us: 180_000 + n % 1000,
            total_us: 2_400_000,
            overhead_us: 17,
        }
    }
}

/// A ledger in a directory that is deleted afterwards.
struct Subject {
    ledger: Arc<SqliteLedger>,
    _writer: LedgerWriter,
    directory: tempfile::TempDir,
}

impl Subject {
    fn new() -> std::io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("ledger.db");
        let (ledger, writer) = SqliteLedger::open(LedgerConfig { queue_rows: 1 << 20, ..LedgerConfig::at(path) })?;
        Ok(Self { ledger, _writer: writer, directory })
    }
}

/// Nanoseconds of CPU time of every thread of this process (`/proc/self/task/*/schedstat`).
fn cpu_ns() -> std::io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

#[expect(clippy::print_stdout, reason = "a benchmark's result goes to its output")]
fn cpu_per_row() -> std::io::Result<()> {
    let (mut rows, total) = (Rows::new(), ROUND * ROUNDS);
    let start = cpu_ns()?;
    for _ in 0..total {
        black_box(rows.make());
    }
    let making = cpu_ns()? - start;
    let subject = Subject::new()?;
    let start = cpu_ns()?;
    for _ in 0..ROUNDS {
        for _ in 0..ROUND {
            subject.ledger.record(rows.make());
        }
        subject.ledger.flush(PATIENCE);
    }
    let all = cpu_ns()? - start;
    let stats = subject.ledger.stats();
    assert_eq!((stats.written, stats.lost), (total, 0), "every row is written");
    let bytes = fs::metadata(subject.directory.path().join("ledger.db"))?.len();
    println!(
        "ledger: {total} rows, {} ns of CPU a row (and {} to make it), {} bytes of file a row",
        (all - making) / total,
        making / total,
        bytes / total
    );
    Ok(())
}

fn rounds(criterion: &mut Criterion) -> std::io::Result<()> {
    let subject = Subject::new()?;
    let mut rows = Rows::new();
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(ROUND));
    group.sample_size(20);
    group.bench_function("record", |bench| {
        bench.iter_batched(
            || {
                subject.ledger.flush(PATIENCE);
                (0..ROUND).map(|_| rows.make()).collect::<Vec<UsageRow>>()
            },
            |batch| batch.into_iter().for_each(|row| subject.ledger.record(row)),
            criterion::BatchSize::PerIteration,
        );
    });
    group.bench_function("record_and_write", |bench| {
        bench.iter_batched(
            || (0..ROUND).map(|_| rows.make()).collect::<Vec<UsageRow>>(),
            |batch| {
                batch.into_iter().for_each(|row| subject.ledger.record(row));
                subject.ledger.flush(PATIENCE)
            },
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    cpu_per_row()?;
    rounds(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
