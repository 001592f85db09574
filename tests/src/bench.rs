//! `make bench`, which is `fleet-sim bench`: what scans and rollouts cost, by each way, and how that grows. Prints a table and writes
//! `target/bench.json`; docs/benchmarks.md says what each figure is.
//!
//! Calls and virtual times are simulated in process; memory and the time to the first call are the real program's, over
//! TCP against `fleet-sim serve`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::measure::{self, MeasureError, Measured, Way};

/// Why the benchmark came to no end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A simulated run.
    #[error("failed to measure a run")]
    Measure(#[from] MeasureError),
    /// A file, a socket or a process.
    #[error("failed to run the real program")]
    Io(#[from] std::io::Error),
    /// The results.
    #[error("failed to write the results")]
    Json(#[from] serde_json::Error),
    /// What is measured is not there.
    #[error("{0}")]
    Missing(String),
}

type Failure = BenchError;

fn missing(what: &str) -> BenchError {
    BenchError::Missing(what.to_owned())
}

/// A share of the buckets for those who give more of them.
const MORE: &str = "0.9";

/// Sizes of the growth table.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// Ten thousand agents that read their tags each second would take the better part of an hour to simulate, and the updater's calls and plans are
/// the same by both ways.
fn sizes(way: Way) -> &'static [usize] {
    match way {
        Way::Ssm => &SIZES,
        Way::Bridge => &SIZES[..2],
    }
}

/// Measures everything, prints a table, and writes `bench.json` into the folder of the build.
///
/// # Errors
/// A run that does not do what it should, or a program that cannot be started.
#[expect(clippy::print_stdout, reason = "its output is the table")]
pub fn run() -> Result<(), Failure> {
    let updater = updater()?;
    let mut figures: BTreeMap<&str, Value> = BTreeMap::new();
    let mut by_way = |key: &'static str, way: Way, value: Value| {
        figures.entry(key).or_insert_with(|| json!({}))[way.key()] = value;
    };
    let (mut growth, mut cpu_s) = (Vec::new(), 0.0_f64);
    for way in Way::ALL {
        let scan = measure::scan(1_000, way)?;
        println!("scan of 1,000 by {}: {} calls", way.key(), scan.all_calls());
        by_way("scan_calls", way, json!(scan.all_calls()));
        for &size in sizes(way) {
            let rolled = measure::rollout(size, way)?;
            show(way, &rolled);
            growth.push(row(way, &rolled));
            if size == 1_000 {
                let lives = rolled.lives.as_ref().ok_or_else(|| missing("a rollout has lives"))?;
                by_way("makespan_ratio", way, json!(rounded(rolled.makespan_ratio().unwrap_or_default())));
                by_way("calls_per_update", way, json!(rounded(rolled.calls_each())));
                let extra = |percent| rounded(lives.extra_at(percent).as_secs_f64());
                by_way("out_of_service_extra_s", way, json!({ "p50": extra(50), "p99": extra(99) }));
                let page = json!({ "bytes": rolled.page.bytes, "ms": rounded(ms(rolled.page.made_in)) });
                by_way("page_1000", way, page);
                cpu_s = cpu_s.max(rolled.cpu.program.as_secs_f64());
            }
        }
    }
    figures.insert("cpu_s_1000", json!(rounded(cpu_s)));
    let more = measure::rollout_with_share(SIZES[2], Way::Ssm, MORE)?;
    println!("the next with api_share = {MORE}:");
    show(Way::Ssm, &more);
    figures.insert("took_s_10000_with_more", json!(rounded(more.took.as_secs_f64())));
    for size in SIZES {
        let memory = peak_rss_mib(&updater, &measure::outdated(size, Way::Ssm), &["plan"], 20)?;
        println!("plan of {size} over TCP: peak {memory:.1} MiB");
        for row in growth.iter_mut().filter(|row| row["size"] == json!(size)) {
            row["scan_rss_mib"] = json!(rounded(memory));
        }
    }
    figures.insert("growth", Value::Array(growth));
    let start = start_ms(&updater)?;
    println!("start to first call: {start:.1} ms (median of 20)");
    figures.insert("start_ms", json!(rounded(start)));
    let text = measure::outdated(5_000, Way::Ssm);
    let memory = peak_rss_mib(&updater, &text, &["run", "--max-unavailable", "50%"], 20)?;
    println!("rollout of 5,000 over TCP, half of them at once: peak {memory:.1} MiB");
    figures.insert("peak_rss_mib_5000", json!(rounded(memory)));

    let path = target()?.join("bench.json");
    std::fs::write(&path, serde_json::to_string_pretty(&figures)? + "\n")?;
    println!("{}", path.display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its output is the table")]
fn show(way: Way, rolled: &Measured) {
    let size = rolled.size;
    println!("rollout of {size} by {}: {:.2} calls each, {:#}", way.key(), rolled.calls_each(), rolled.took);
    let (bucket, share) = rolled.fullest_bucket();
    println!("  {:.0} % of the bucket {bucket}, {} throttled", share * 100.0, rolled.throttled);
    if let Some(lives) = &rolled.lives {
        let ratio = rolled.makespan_ratio().unwrap_or_default();
        let strict = rolled.strict_makespan_ratio().unwrap_or_default();
        println!("  {ratio:.3} of the bound {:#}; {strict:.3} of the one without the agent's start", lives.bound(size));
        println!(
            "  stage {:#}, drain {:#}, shutdown {:#}, boot {:#}, agent {:#}",
            lives.stage, lives.drain, lives.shutdown, lives.boot, lives.agent
        );
        println!("  beyond that out of service: median {:#}, P99 {:#}", lives.extra_at(50), lives.extra_at(99));
    }
    println!("  page of {} bytes, made in {:.1} ms", rolled.page.bytes, ms(rolled.page.made_in));
    println!(
        "  CPU {:.2} s of the updater ({:.2} s of the simulator), a plan {:.2} ms (median; longest {:.2} ms)",
        rolled.cpu.program.as_secs_f64(),
        rolled.cpu.simulator.as_secs_f64(),
        ms(rolled.plan.median),
        ms(rolled.plan.longest)
    );
}

fn row(way: Way, rolled: &Measured) -> Value {
    json!({
        "way": way.key(),
        "size": rolled.size,
        "calls": rolled.all_calls(),
        "cpu_s": rounded(rolled.cpu.program.as_secs_f64()),
        "plan_ms": rounded(ms(rolled.plan.median)),
        "plan_ms_longest": rounded(ms(rolled.plan.longest)),
        "makespan_ratio": rolled.makespan_ratio().map(rounded),
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// The program beside the simulator's; `make bench` builds both.
fn updater() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name("ecs-updater");
    if path.exists() {
        Ok(path)
    } else {
        Err(BenchError::Missing(format!("{} is not there: cargo build --release --workspace --bins", path.display())))
    }
}

/// The folder of the build: that of the program's profile is in it.
fn target() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?.ancestors().nth(2).map_or_else(|| "target".into(), Path::to_path_buf))
}

fn command(updater: &Path, endpoint: &str) -> Command {
    let mut command = Command::new(updater);
    command
        .env_clear()
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "simulated")
        .env("AWS_SECRET_ACCESS_KEY", "simulated")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Ends a child whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most memory that the updater had resident, over TCP against `fleet-sim serve`.
fn peak_rss_mib(updater: &Path, scenario: &str, arguments: &[&str], scale: u32) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("fleet.toml");
    std::fs::write(&file, scenario)?;
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg(&file)
        .args(["--listen", "127.0.0.1:0", "--time-scale", &scale.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = server.stdout.take().ok_or_else(|| missing("the server has no output"))?;
    let _server = Ended(server);
    let (mut line, mut out) = (String::new(), BufReader::new(out));
    out.read_line(&mut line)?;
    let endpoint = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .ok_or_else(|| missing("the server has no address"))?;
    let mut child =
        Ended(command(updater, endpoint).args(arguments).args(["--cluster", "fleet", "--output", "json"]).spawn()?);
    let status = format!("/proc/{}/status", child.0.id());
    let mut peak = 0.0_f64;
    while child.0.try_wait()?.is_none() {
        // Gone between the two: the last value stands.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high =
            text.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| rest.split_whitespace().next());
        if let Some(kib) = high.and_then(|number| number.parse::<f64>().ok()) {
            peak = peak.max(kib / 1_024.0);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Until here the server has somebody who reads what it says.
    drop(out);
    if child.0.wait()?.success() {
        Ok(peak)
    } else {
        Err(BenchError::Missing(format!("the program measured by {arguments:?} did not succeed")))
    }
}

/// From the start of the process to the first connection that it makes, in milliseconds.
fn start_ms(updater: &Path) -> Result<f64, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let child = Ended(command(updater, &endpoint).args(["plan", "--cluster", "fleet"]).spawn()?);
        let (stream, _) = listener.accept()?;
        times.push(ms(began.elapsed()));
        drop((stream, child));
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
