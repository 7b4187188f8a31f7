//! What the kernel knows of this process.

use crate::server::Process;

/// The facts of this moment; those that this kernel does not tell are left out.
#[cfg(target_os = "linux")]
pub(crate) fn facts() -> Process {
    let read = || -> procfs::ProcResult<Process> {
        let itself = procfs::process::Process::myself()?;
        let stat = itself.stat()?;
        let ticks = procfs::ticks_per_second();
        let per_second = |count: u64| count as f64 / ticks as f64;
        let boot = procfs::boot_time_secs().ok();
        let files_max = itself.limits()?.max_open_files.soft_limit;
        Ok(Process {
            cpu_seconds: Some(per_second(stat.utime + stat.stime)),
            start_time_seconds: boot.map(|boot| boot as f64 + per_second(stat.starttime)),
            resident_memory_bytes: Some(stat.rss * procfs::page_size()),
            virtual_memory_bytes: Some(stat.vsize),
            open_files: itself.fd_count().ok().map(|count| count as u64),
            open_files_max: match files_max {
                procfs::process::LimitValue::Value(most) => Some(most),
                procfs::process::LimitValue::Unlimited => None,
            },
        })
    };
    read().unwrap_or_default()
}

/// Nothing: only Linux has /proc.
#[cfg(not(target_os = "linux"))]
pub(crate) fn facts() -> Process {
    Process::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_tells_all() {
        let facts = facts();
        assert!(facts.resident_memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{facts:?}");
        assert!(facts.virtual_memory_bytes > facts.resident_memory_bytes);
        assert!(facts.open_files.is_some_and(|count| count >= 3));
        assert!(facts.cpu_seconds.is_some_and(|seconds| (0.0..1e6).contains(&seconds)));
        let year_2020 = 1_577_836_800.0;
        assert!(facts.start_time_seconds.is_some_and(|time| time > year_2020));
    }
}
