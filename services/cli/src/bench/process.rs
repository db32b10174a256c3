//! What `/proc` says about the server under test, this process and the machine.

use std::{fs, io, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

use super::clock;

/// A process under measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pid: u32,
}

/// Resident memory in bytes. `anonymous` leaves out what is only a page of the binary.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Memory {
    pub(super) rss_bytes: u64,
    pub(super) pss_bytes: u64,
    pub(super) anonymous_bytes: u64,
}

impl Process {
    pub(super) fn try_new(pid: u32) -> anyhow::Result<Self> {
        let process = Self { pid };
        process.cpu().with_context(|| format!("--server-pid {pid}: read its CPU time"))?;
        process.memory().with_context(|| format!("--server-pid {pid}: read its memory"))?;
        Ok(process)
    }

    /// CPU time of all its threads in nanoseconds. `schedstat` is exact where `stat` counts ticks
    /// of 10 ms; threads that have ended are in neither sum, servers under test keep theirs.
    pub(super) fn cpu(self) -> anyhow::Result<u64> {
        let mut total = 0;
        let tasks = format!("/proc/{}/task", self.pid);
        for task in fs::read_dir(&tasks).with_context(|| format!("open {tasks}"))? {
            let path = task?.path().join("schedstat");
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // The thread ended between the listing and the read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).context("read schedstat"),
            };
            total += number(text.split_whitespace().next())?;
        }
        if total == 0 { self.cpu_ticks() } else { Ok(total) }
    }

    /// Exact, but walks the page tables: not for a loop.
    pub(super) fn memory(self) -> anyhow::Result<Memory> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))
            .context("read smaps_rollup")?;
        Ok(Memory {
            rss_bytes: kilobytes(&text, "Rss:")?,
            pss_bytes: kilobytes(&text, "Pss:")?,
            anonymous_bytes: kilobytes(&text, "Anonymous:")?,
        })
    }

    /// Anonymous resident bytes, cheap and a few pages stale.
    pub(super) fn anonymous_bytes(self) -> anyhow::Result<u64> {
        let text =
            fs::read_to_string(format!("/proc/{}/status", self.pid)).context("read status")?;
        kilobytes(&text, "RssAnon:")
    }

    /// Waits until it uses less than 5 % of a core, at most 10 s: what one measurement left to be
    /// cleaned up must not be billed to the next.
    pub(super) fn wait_quiet(self) -> anyhow::Result<()> {
        const STEP: Duration = Duration::from_millis(200);
        for _ in 0..50 {
            let before = self.cpu()?;
            clock::pause(STEP);
            if self.cpu()? - before < clock::to_nanos(STEP) / 20 {
                return Ok(());
            }
        }
        Ok(())
    }

    fn cpu_ticks(self) -> anyhow::Result<u64> {
        const NANOS_PER_TICK: u64 = clock::NANOS_PER_SECOND / 100;
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).context("read stat")?;
        // The name in parentheses may hold blanks; utime and stime are fields 14 and 15.
        let fields = text.rsplit_once(')').context("stat has no name")?.1;
        let mut fields = fields.split_whitespace().skip(11);
        Ok((number(fields.next())? + number(fields.next())?) * NANOS_PER_TICK)
    }
}

/// CPU time of the machine, to tell how much of it the hypervisor took away.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuTimes {
    total: u64,
    steal: u64,
}

impl CpuTimes {
    pub(super) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let fields = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            // guest times are already in user.
            .take(8)
            .map(|field| number(Some(field)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { total: fields.iter().sum(), steal: fields.get(7).copied().unwrap_or(0) })
    }

    pub(super) fn steal_percent_since(self, before: Self) -> f64 {
        let total = self.total.saturating_sub(before.total).max(1);
        100.0 * self.steal.saturating_sub(before.steal) as f64 / total as f64
    }
}

/// Bytes of kernel slab memory on the whole machine: sockets, inodes, epoll items.
pub(super) fn slab_bytes() -> anyhow::Result<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?, "Slab:")
}

/// The machine, for the record beside a result.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    cpu: String,
    cpus: usize,
    memory_bytes: u64,
    kernel: String,
    load_average: String,
}

impl Machine {
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        // Not available_parallelism, which counts what this pinned thread may use.
        let cpuinfo = text("/proc/cpuinfo");
        let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        let cpu = cpuinfo
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        Self {
            cpu,
            cpus,
            memory_bytes: kilobytes(&text("/proc/meminfo"), "MemTotal:").unwrap_or(0),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: text("/proc/loadavg").trim().to_owned(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gib = self.memory_bytes as f64 / f64::from(1 << 30);
        write!(
            f,
            "{} x{}, {gib:.0} GiB, Linux {}, load {}",
            self.cpu, self.cpus, self.kernel, self.load_average
        )
    }
}

fn kilobytes(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("there is no `{name}`"))?;
    Ok(number(line.split_whitespace().next())? * 1024)
}

fn number(field: Option<&str>) -> anyhow::Result<u64> {
    field.context("a field is missing")?.parse().context("a field is not a number")
}
