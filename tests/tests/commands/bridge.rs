//! The real `host-bridge` command against a simulated host on a real Unix socket, at many times real time: what a
//! person without an orchestrator types, and what becomes of the connection.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use fleet_sim::host::HostSpec;
use fleet_sim::host_server::HostServer;
use host_bridge::client::Client;
use host_bridge::transport::{Limits, Transport, UnixSocket};
use semver::Version;

const NEW: Version = Version::new(1, 27, 0);
const OLD: Version = Version::new(1, 26, 1);
/// Simulated seconds in a second: a boot of 60 s takes less than a second.
const SCALE: u32 = 100;

/// A host on a socket of its own, until it is dropped.
struct Served {
    folder: tempfile::TempDir,
    agent: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

fn serve(spec: HostSpec, tasks: Option<u32>) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let agent = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = HostServer {
        socket: folder.path().join("api.sock"),
        introspection: tasks.is_some().then_some(agent),
        tasks: tasks.unwrap_or_default(),
        time_scale: SCALE,
    };
    let said = Arc::new(Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let heard = Arc::clone(&said);
    runtime.spawn(async move {
        let say = move |line: &str| heard.lock().unwrap().push(line.to_owned());
        let releases = vec![NEW, OLD, Version::new(1, 26, 0)];
        server.serve(spec, releases, std::future::pending(), say).await.unwrap();
    });
    let served = Served { folder, agent, said, _runtime: runtime };
    wait_until("the socket is there", || served.socket().exists());
    served
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not within 60 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Served {
    fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        run(&self.socket(), self.agent, arguments)
    }

    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32, words: &str) {
        let (ended, text) = self.run(arguments);
        assert!(ended == Some(code) && text.contains(words), "{arguments:?} ended with {ended:?}, not {code}: {text}");
    }

    /// Reboots, and waits until the host says that it has booted once more.
    #[track_caller]
    fn reboots(&self) {
        let boots = || self.said.lock().unwrap().iter().filter(|line| line.starts_with("booted ")).count();
        let before = boots();
        self.ends(&["reboot", "--force"], 0, "rebooting");
        wait_until("the boot", || boots() > before && self.socket().exists());
    }
}

fn run(socket: &Path, agent: SocketAddr, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(command())
        .args(arguments)
        .env_clear()
        .env("HOST_BRIDGE_SOCKET", socket)
        .env("HOST_BRIDGE_ECS_AGENT", agent.to_string())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn command() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| crate::common::program("host-bridge"))
}

#[test]
fn an_update_and_the_way_back_by_hand() {
    let host = serve(HostSpec::default(), None);
    host.ends(&["status"], 0, "not known since this boot");
    host.ends(&["check"], 0, "1.27.0 is offered; 1.26.1 runs");
    host.ends(&["stage"], 0, "staged: 1.27.0");
    host.ends(&["activate"], 0, "activated: the next boot takes 1.27.0");
    host.ends(&["reboot"], 4, "`host-bridge reboot --force`");
    host.reboots();
    host.ends(&["status"], 0, "1.27.0 runs");
    host.ends(&["rollback", "--to", "1.26.1"], 0, "the next boot takes 1.26.1");
    host.reboots();
    host.ends(&["status"], 0, "1.26.1 runs");
}

#[test]
fn a_version_that_does_not_boot_leaves_the_old_one() {
    let host = serve(HostSpec { fails_to_boot: vec![NEW], ..HostSpec::default() }, None);
    host.ends(&["stage"], 0, "staged: 1.27.0");
    host.ends(&["activate"], 0, "activated");
    host.reboots();
    host.ends(&["status"], 0, "1.26.1 runs");
    host.ends(&["check"], 0, "1.27.0 is offered; 1.26.1 runs");
}

#[test]
fn tasks_on_the_host_refuse_the_reboot() {
    let host = serve(HostSpec::default(), Some(2));
    host.ends(&["reboot"], 4, "2 ECS tasks run on this host");
    host.reboots();
}

#[test]
fn no_socket_and_a_stale_one_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, agent) = (folder.path().join("api.sock"), SocketAddr::from(([127, 0, 0, 1], 9)));
    let (code, text) = run(&socket, agent, &["status"]);
    assert!(code == Some(1) && text.contains("there is no /"), "{code:?} {text}");
    // The file outlives the listener.
    drop(UnixListener::bind(&socket).unwrap());
    let (code, text) = run(&socket, agent, &["status"]);
    assert!(code == Some(1) && text.contains("stale bind mount"), "{code:?} {text}");
}

#[test]
fn a_connection_that_the_server_closed_is_replaced() {
    let host = serve(HostSpec::default(), None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A client that would keep its connection forever.
        let limits = Limits { idle: Duration::from_secs(3_600), ..Limits::default() };
        let client = Client::new(Transport::new(UnixSocket::new(host.socket()), limits));
        assert_eq!(client.os().await.unwrap().version_id, "1.26.1");
        tokio::time::sleep(Duration::from_millis(6_500)).await;
        assert_eq!(client.os().await.unwrap().version_id, "1.26.1");
    });
    let mut idle = std::os::unix::net::UnixStream::connect(host.socket()).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let began = Instant::now();
    std::io::Read::read_to_end(&mut idle, &mut Vec::new()).unwrap();
    let waited = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&waited), "closed after {waited:?}");
}
