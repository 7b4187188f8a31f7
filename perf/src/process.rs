//! CPU time and memory of a server process and its children, from `/proc`.

use std::fs;
use std::time::Duration;

/// A process to watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

impl Process {
    /// The process with this id.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn new(pid: u32) -> Result<Process, String> {
        match fs::metadata(format!("/proc/{pid}")) {
            Ok(_) => Ok(Process { pid }),
            Err(_) => Err(format!(
                "there is no process {pid}; --pid is the server's process id, see `pgrep wsloop`"
            )),
        }
    }

    /// Time on a CPU, of all its threads and those of its children, user and system together.
    ///
    /// The scheduler's own count is in nanoseconds; `/proc/PID/stat` counts the same in ticks of 10 ms, which
    /// is what is left where the kernel keeps no such count. Threads that have ended are not seen.
    pub(crate) fn cpu(&self) -> Duration {
        self.tree().into_iter().map(|pid| cpu_by_scheduler(pid).unwrap_or_else(|| cpu_by_ticks(pid))).sum()
    }

    /// Memory that it has written and that belongs to it alone.
    pub(crate) fn private_bytes(&self) -> u64 {
        self.tree()
            .into_iter()
            .map(|pid| {
                let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
                ["Private_Dirty:", "Swap:"].iter().map(|name| bytes_of(&rollup, name)).sum::<u64>()
            })
            .sum()
    }

    /// The most that was ever resident, summed over its processes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.tree()
            .into_iter()
            .map(|pid| {
                bytes_of(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmHWM:")
            })
            .sum()
    }

    /// Its id and those of its children, and theirs.
    fn tree(&self) -> Vec<u32> {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat_fields(pid)?.get(1)?.parse().ok()?)))
            .collect();
        let mut tree = vec![self.pid];
        let mut next = 0;
        while next < tree.len() {
            let parent = tree[next];
            tree.extend(parents.iter().filter(|(_, other)| *other == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        tree
    }
}

fn cpu_by_scheduler(pid: u32) -> Option<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        sum += schedstat.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
    }
    (sum > 0).then(|| Duration::from_nanos(sum))
}

fn cpu_by_ticks(pid: u32) -> Duration {
    // USER_HZ, which is 100 on every Linux that is in use.
    const TICK: Duration = Duration::from_millis(10);
    let fields = stat_fields(pid).unwrap_or_default();
    let of = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
    TICK * (of(11) + of(12))
}

/// The fields of `/proc/PID/stat` behind the name, which may hold anything: state, parent and so on.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace().map(str::to_owned).collect())
}

/// A line such as `VmHWM:  12 kB`, in bytes.
fn bytes_of(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;

    #[test]
    fn its_own_time_and_memory() {
        let own = Process::new(std::process::id()).expect("this process is there");
        let (cpu_before, memory_before, started) = (own.cpu(), own.private_bytes(), Instant::now());
        let mut block = vec![1_u8; 64 << 20];
        // Until its work is seen, however small this thread's share of the processor is; threads of other tests
        // take theirs with them when they end.
        let is_seen = |cpu: Duration| cpu.saturating_sub(cpu_before) > Duration::from_millis(100);
        while !is_seen(own.cpu()) && started.elapsed() < Duration::from_secs(60) {
            block.iter_mut().for_each(|byte| *byte = black_box(*byte ^ 3));
        }
        assert!(is_seen(own.cpu()), "{cpu_before:?}, and then {:?}", own.cpu());
        let memory = own.private_bytes().saturating_sub(memory_before);
        // Other tests use memory at the same time.
        assert!(memory >= 60 << 20, "{memory}");
        assert!(own.peak_bytes() >= memory);
        let in_ticks = cpu_by_ticks(std::process::id());
        assert!(in_ticks.abs_diff(own.cpu()) < Duration::from_secs(1), "{in_ticks:?} and {:?}", own.cpu());
        drop(black_box(block));
    }

    #[test]
    fn children_count_and_a_missing_process_is_said() {
        let mut child = std::process::Command::new("sleep").arg("20").spawn().expect("there is a sleep");
        let own = Process::new(std::process::id()).expect("this process is there");
        assert!(own.tree().contains(&child.id()));
        child.kill().expect("it is ours");
        child.wait().expect("it has ended");
        assert!(!own.tree().contains(&child.id()));
        assert!(Process::new(u32::MAX).expect_err("no such id").contains("--pid"));
    }
}
