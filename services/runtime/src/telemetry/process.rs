//! The process's own figures, read when they are asked for.

use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use tokio::time::Instant;

pub(super) fn register(meter: &Meter, started: Instant) {
    meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_description("Resident memory")
        .with_unit("By")
        .with_callback(|observer| {
            if let Some(bytes) = resident_bytes() {
                observer.observe(bytes, &[]);
            }
        })
        .build();
    let user = [KeyValue::new("cpu.mode", "user")];
    let system = [KeyValue::new("cpu.mode", "system")];
    meter
        .f64_observable_counter("process.cpu.time")
        .with_description("Processor time used")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(seconds) = cpu_seconds() {
                observer.observe(seconds.user, &user);
                observer.observe(seconds.system, &system);
            }
        })
        .build();
    meter
        .i64_observable_up_down_counter("process.open_file_descriptor.count")
        .with_description("Open file descriptors")
        .with_unit("{file_descriptor}")
        .with_callback(|observer| {
            if let Some(count) = open_descriptors() {
                observer.observe(count, &[]);
            }
        })
        .build();
    meter
        .f64_observable_gauge("process.uptime")
        .with_description("Time since the process started")
        .with_unit("s")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();
}

pub(super) fn resident_bytes() -> Option<i64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    i64::try_from(pages * rustix::param::page_size()).ok()
}

pub(super) struct CpuSeconds {
    pub(super) user: f64,
    pub(super) system: f64,
}

pub(super) fn cpu_seconds() -> Option<CpuSeconds> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything, brackets too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut next = || Some(times.next()?.parse::<u64>().ok()? as f64 / per_second);
    Some(CpuSeconds { user: next()?, system: next()? })
}

pub(super) fn open_descriptors() -> Option<i64> {
    // Linux 6.2 and later tell the number as the folder's size. Before, each is listed: slow with
    // many connections, but on the scraping thread.
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return i64::try_from(size).ok();
    }
    // One of those listed is the listing's own.
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(|count| count - 1)
}
