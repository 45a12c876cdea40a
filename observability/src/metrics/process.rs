//! The process's own numbers, read from `/proc` when they are scraped, under the names that Prometheus
//! client libraries share.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};

/// Clock ticks a second in `/proc/*/stat`: `USER_HZ`, 100 on every architecture that Linux runs on
/// today, whatever the kernel's own tick is (`man 5 proc_pid_stat`, `man 7 time`).
const TICKS: f64 = 100.0;

/// Collects the process's numbers. What cannot be read keeps its last value.
#[derive(Clone)]
pub(super) struct ProcessCollector {
    cpu: Counter,
    open_fds: IntGauge,
    max_fds: IntGauge,
    resident: IntGauge,
    virtual_size: IntGauge,
    threads: IntGauge,
    start: IntGauge,
    /// Held while the numbers are read, so that two scrapes do not count the same CPU time twice.
    reading: Arc<Mutex<()>>,
}

impl ProcessCollector {
    pub(super) fn new() -> prometheus::Result<Self> {
        let collector = Self {
            cpu: Counter::new("process_cpu_seconds_total", "User and system CPU time of the process, in seconds.")?,
            open_fds: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            max_fds: IntGauge::new("process_max_fds", "File descriptors that the process may open.")?,
            resident: IntGauge::new("process_resident_memory_bytes", "Resident memory, in bytes.")?,
            virtual_size: IntGauge::new("process_virtual_memory_bytes", "Virtual memory, in bytes.")?,
            threads: IntGauge::new("process_threads", "Threads of the process.")?,
            start: IntGauge::new(
                "process_start_time_seconds",
                "When the process began, in seconds since the Unix epoch.",
            )?,
            reading: Arc::new(Mutex::new(())),
        };
        // It never changes, and the machine's boot time stands in a file that is long on machines
        // with many cores: read it once.
        if let Some(start) = start_time() {
            collector.start.set(start);
        }
        Ok(collector)
    }

    fn read(&self) {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some([user, system]) = stat_fields([14, 15]) {
            self.cpu.inc_by(((user + system) / TICKS - self.cpu.get()).max(0.0));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            set(&self.resident, field(&status, "VmRSS:").map(|kib| kib * 1024));
            set(&self.virtual_size, field(&status, "VmSize:").map(|kib| kib * 1024));
            set(&self.threads, field(&status, "Threads:"));
        }
        if let Ok(limits) = fs::read_to_string("/proc/self/limits") {
            set(&self.max_fds, field(&limits, "Max open files"));
        }
        set(&self.open_fds, open_fds());
    }

    fn parts(&self) -> [&dyn Collector; 7] {
        [&self.cpu, &self.open_fds, &self.max_fds, &self.resident, &self.virtual_size, &self.threads, &self.start]
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(|part| part.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}

fn set(gauge: &IntGauge, value: Option<i64>) {
    if let Some(value) = value {
        gauge.set(value);
    }
}

/// The first number after `name` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Numbered fields of `/proc/self/stat`, numbered from 1 as in its manual. The second field is a name
/// in parentheses that may hold anything, so counting begins behind its end.
fn stat_fields<const N: usize>(numbers: [usize; N]) -> Option<[f64; N]> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let mut values = [0.0; N];
    for (value, number) in values.iter_mut().zip(numbers) {
        *value = fields.get(number.checked_sub(3)?)?.parse().ok()?;
    }
    Some(values)
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of this epoch fit many times over")]
fn start_time() -> Option<i64> {
    let [ticks] = stat_fields([22])?;
    let boot = field(&fs::read_to_string("/proc/stat").ok()?, "btime ")?;
    Some(boot + (ticks / TICKS) as i64)
}

/// Newer kernels (6.2) tell the count as the directory's size; on older ones it is counted, less the
/// one that reading the directory opens.
fn open_fds() -> Option<i64> {
    let told = fs::metadata("/proc/self/fd").ok()?.len();
    if told > 0 {
        return i64::try_from(told).ok();
    }
    let counted = fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(counted.saturating_sub(1)).ok()
}
