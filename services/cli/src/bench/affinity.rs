//! Which CPU the calling thread runs on, and how readily: server and generator must not take turns
//! on one core, nor with whatever else runs.

use anyhow::Context as _;
use rustix::{
    process::setpriority_process,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Two CPUs to keep server and generator apart, if the process may use two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) server: usize,
    pub(super) generator: usize,
}

impl Pair {
    pub(super) fn available() -> anyhow::Result<Option<Self>> {
        let allowed = sched_getaffinity(None).context("read the CPU affinity")?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        Ok(cpus.next().zip(cpus.next()).map(|(server, generator)| Self { server, generator }))
    }
}

/// Keeps the calling thread on `cpu` from here on.
pub(super) fn pin(cpu: usize) -> anyhow::Result<()> {
    anyhow::ensure!(cpu < CpuSet::MAX_CPU, "CPU {cpu} does not exist");
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("pin to CPU {cpu}"))
}

/// Runs `work` with the calling thread on `cpu`, then puts it back. A child spawned inside stays
/// on `cpu` with all its threads.
pub(super) fn pinned<T>(
    cpu: Option<usize>,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Some(cpu) = cpu else { return work() };
    let before = sched_getaffinity(None).context("read the CPU affinity")?;
    pin(cpu)?;
    let result = work();
    sched_setaffinity(None, &before).context("restore the CPU affinity")?;
    result
}

/// Puts the calling thread and what it spawns before ordinary processes. Only root may.
pub(super) fn favour() -> anyhow::Result<()> {
    setpriority_process(None, -10).context("lower the niceness")
}
