//! What a gateway's processes use: processor time, memory, context switches, from `/proc`.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

/// What a process and its descendants have used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Processor time of all threads, user and system, in nanoseconds, as the scheduler counts it.
    pub(super) cpu_ns: u64,
    /// Time that threads were ready to run and had no processor, in nanoseconds: on a core of its
    /// own a gateway waits only for work that is not part of the comparison, or for itself.
    pub(super) waited_ns: u64,
    /// User part in clock ticks: only good for the share of it.
    user_ticks: u64,
    /// System part in clock ticks.
    system_ticks: u64,
    /// Context switches, voluntary and not.
    pub(super) switches: u64,
}

impl Used {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            waited_ns: self.waited_ns.saturating_sub(before.waited_ns),
            user_ticks: self.user_ticks.saturating_sub(before.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(before.system_ticks),
            switches: self.switches.saturating_sub(before.switches),
        }
    }

    /// Part of the time that was spent in the kernel, 0 to 1.
    pub(super) fn system_part(self) -> f64 {
        let all = self.user_ticks + self.system_ticks;
        if all == 0 { 0.0 } else { self.system_ticks as f64 / all as f64 }
    }
}

/// Resident memory of a process and its descendants, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was resident since the mark was last reset.
    pub peak: u64,
}

/// Processes and their descendants, as they were when last looked for.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    roots: Vec<u32>,
    pub(super) members: Vec<u32>,
}

impl Tree {
    pub(super) fn of(roots: Vec<u32>) -> Self {
        let mut tree = Self { members: roots.clone(), roots };
        tree.refresh();
        tree
    }

    /// Looks again who belongs to it: servers start their workers after they start.
    pub(super) fn refresh(&mut self) {
        let parents: Vec<(u32, u32)> = numbers("/proc").filter_map(|pid| Some((pid, parent(pid)?))).collect();
        self.members.clone_from(&self.roots);
        let mut at = 0;
        while let Some(&member) = self.members.get(at) {
            self.members.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| *pid));
            at += 1;
        }
    }

    pub(super) fn used(&self) -> Used {
        let mut used = Used::default();
        for pid in &self.members {
            for thread in numbers(&format!("/proc/{pid}/task")) {
                let path = format!("/proc/{pid}/task/{thread}");
                let (cpu, waited) = schedule(&format!("{path}/schedstat")).unwrap_or_default();
                used.cpu_ns += cpu;
                used.waited_ns += waited;
                let status = fs::read_to_string(format!("{path}/status")).unwrap_or_default();
                used.switches +=
                    labelled(&status, "voluntary_ctxt_switches:") + labelled(&status, "nonvoluntary_ctxt_switches:");
            }
            let (user, system) = ticks(*pid).unwrap_or_default();
            used.user_ticks += user;
            used.system_ticks += system;
        }
        used
    }

    pub(super) fn memory(&self) -> Memory {
        let members = self.members.iter().map(|pid| memory(*pid));
        members.fold(Memory::default(), |sum, one| Memory {
            resident: sum.resident + one.resident,
            peak: sum.peak + one.peak,
        })
    }

    /// Sets the peak of every member back to what is resident now.
    pub(super) fn reset_peak(&self) -> io::Result<()> {
        self.members.iter().try_for_each(|pid| fs::write(format!("/proc/{pid}/clear_refs"), "5"))
    }

    pub(super) fn is_alive(&self) -> bool {
        // A zombie has no memory map, so its status has no such line.
        self.roots.iter().all(|root| self::memory(*root).resident > 0)
    }
}

fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    Memory { resident: labelled(&status, "VmRSS:"), peak: labelled(&status, "VmHWM:") }
}

/// The entries of a directory that are numbers: processes, or threads of one.
fn numbers(directory: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(PathBuf::from(directory)).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Time on a processor and time spent waiting for one, in nanoseconds.
fn schedule(path: &str) -> Option<(u64, u64)> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.split_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The fields of `/proc/PID/stat` after the command, which may itself hold spaces.
fn after_command(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')').map(|(_, rest)| rest.to_owned())
}

fn parent(pid: u32) -> Option<u32> {
    after_command(pid)?.split_whitespace().nth(1)?.parse().ok()
}

fn ticks(pid: u32) -> Option<(u64, u64)> {
    let stat = after_command(pid)?;
    let mut fields = stat.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn labelled(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_at_work() {
        let tree = Tree::of(vec![std::process::id()]);
        assert!(tree.is_alive());
        assert!(tree.memory().peak >= tree.memory().resident / 2);
        let before = tree.used();
        let mut sum = 0_u64;
        for number in 0..200_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        // The thread that asks is charged at the next scheduler tick, a few milliseconds later.
        let used = tree.used().since(before);
        assert!(used.cpu_ns > 10_000_000, "{used:?}");
    }

    #[test]
    fn a_child_belongs_to_the_tree_and_leaves_it() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().expect("sleep exists");
        let mut tree = Tree::of(vec![std::process::id()]);
        assert!(tree.members.contains(&child.id()));
        child.kill().expect("ours to end");
        child.wait().expect("it ends");
        tree.refresh();
        assert!(!tree.members.contains(&child.id()));
    }
}
