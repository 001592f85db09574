//! Connections that are closed, refused, silent, slow, or drown us.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use host_bridge::transport::{
    Answer, BODY_LIMIT, Call, Limits, Sent, SocketProblem, Transport, TransportError, UnixSocket, from_fn,
};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

use crate::wire::{Reply, answer, read_request, serve, text};

fn get(target: &str) -> Call {
    Call::get(target)
}

fn post(target: &str) -> Call {
    Call { method: Method::POST, target: target.to_owned(), ..Call::default() }
}

fn body(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// A transport whose n-th connection, from 0, is served by `server`; and the number of connections.
fn served<F, Fut>(server: F) -> (Transport, Arc<AtomicUsize>)
where
    F: Fn(usize, DuplexStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let connect = from_fn("a pipe", move || {
        let (ours, theirs) = tokio::io::duplex(4096);
        tokio::spawn(server(count.fetch_add(1, Ordering::SeqCst), theirs));
        Ok(ours)
    });
    (Transport::new(connect, Limits::default()), connections)
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_while_it_is_fresh() {
    let (transport, connections) = served(|_, stream| serve(stream, |request| text(200, &request.target)));
    for target in ["/a", "/b", "/c"] {
        assert_eq!(body(&transport.send(&get(target)).await.unwrap()), target);
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);

    // Near the 5 s after which the server closes, a request might meet the close.
    sleep(Duration::from_secs(4)).await;
    transport.send(&get("/d")).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_closed_is_replaced() {
    let (transport, connections) = served(|n, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(&answer(200, format!("connection {n}"))).await.unwrap();
    });
    for n in 0..3 {
        let answer = transport.send(&post("/actions/refresh-updates")).await.unwrap();
        assert_eq!(body(&answer), format!("connection {n}"));
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_wants_closed_is_not_used_again() {
    let (transport, connections) = served(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    });
    for _ in 0..2 {
        assert_eq!(body(&transport.send(&post("/x")).await.unwrap()), "ok");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// The server reads the second request of a connection and closes without an answer: it may have acted.
async fn second_request_swallowed(call: Call) -> (Result<Answer, TransportError>, usize) {
    let (transport, connections) = served(|n, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(&answer(200, "first")).await.unwrap();
        read_request(&mut stream).await;
        if n > 0 {
            stream.write_all(&answer(200, "second")).await.unwrap();
        }
    });
    transport.send(&get("/first")).await.unwrap();
    (transport.send(&call).await, connections.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_get_is_repeated_and_a_post_is_not() {
    let (answer, connections) = second_request_swallowed(get("/os")).await;
    assert_eq!((body(&answer.unwrap()), connections), ("first", 2));

    let (answer, connections) = second_request_swallowed(post("/actions/reboot")).await;
    let error = answer.unwrap_err();
    assert!(matches!(error, TransportError::BrokenOff { .. }), "{error:?}");
    assert_eq!((error.sent(), connections), (Sent::Maybe, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_an_error() {
    let (transport, _) = served(|_, stream| {
        serve(stream, |_| Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":".to_vec()))
    });
    let error = transport.send(&get("/os")).await.unwrap_err();
    assert!(matches!(error, TransportError::BrokenOff { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_the_read_limit() {
    let (transport, _) = served(|_, stream| serve(stream, |_| Reply::Hang));
    let begin = Instant::now();
    let error = transport.send(&post("/actions/reboot")).await.unwrap_err();
    assert!(matches!(error, TransportError::Silent { .. }), "{error:?}");
    assert_eq!((error.sent(), begin.elapsed().as_secs()), (Sent::Maybe, 15));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drips_is_given_up_after_the_total_limit() {
    let (transport, _) = served(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b".").await.is_ok() {
            sleep(Duration::from_secs(10)).await;
        }
    });
    let begin = Instant::now();
    let error = transport.send(&get("/settings")).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLong { .. }), "{error:?}");
    assert_eq!(begin.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_huge_body_is_read_and_a_bigger_one_refused() {
    let (transport, _) = served(|_, stream| {
        serve(stream, |request| {
            let length: usize = request.target.trim_start_matches('/').parse().unwrap();
            Reply::Bytes(answer(200, vec![b'x'; length]))
        })
    });
    let ten = 10 * 1024 * 1024;
    assert_eq!(transport.send(&get(&format!("/{ten}"))).await.unwrap().body.len(), ten);
    let error = transport.send(&get(&format!("/{}", BODY_LIMIT + 1))).await.unwrap_err();
    assert_eq!(error.to_string(), "the answer is longer than 16 MiB");
    // And the connection with the rest of it is gone.
    assert_eq!(transport.send(&get("/3")).await.unwrap().body.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_http_are_an_error() {
    let (transport, _) = served(|_, stream| serve(stream, |_| Reply::Last(b"220 smtp ready\r\n\r\n".to_vec())));
    let error = transport.send(&get("/os")).await.unwrap_err();
    assert!(matches!(error, TransportError::BrokenOff { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_takes_its_connection_with_it() {
    let (transport, connections) = served(|n, mut stream| async move {
        read_request(&mut stream).await;
        if n == 0 {
            sleep(Duration::from_secs(1)).await;
        }
        let _ = stream.write_all(&answer(200, format!("connection {n}"))).await;
        let _ = stream.read_u8().await;
    });
    assert!(tokio::time::timeout(Duration::from_millis(100), transport.send(&get("/slow"))).await.is_err());
    assert_eq!(body(&transport.send(&get("/fast")).await.unwrap()), "connection 1");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_tried_again_while_the_server_restarts() {
    let tries = AtomicUsize::new(0);
    let connect = from_fn("a pipe", move || {
        if tries.fetch_add(1, Ordering::SeqCst) < 3 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(4096);
        tokio::spawn(serve(theirs, |_| text(200, "ok")));
        Ok(ours)
    });
    let transport = Transport::new(connect, Limits::default());
    assert_eq!(body(&transport.send(&get("/os")).await.unwrap()), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_comes_is_given_up() {
    let connect = from_fn("a pipe", || Err::<DuplexStream, _>(io::ErrorKind::WouldBlock.into()));
    let error = Transport::new(connect, Limits::default()).send(&get("/os")).await.unwrap_err();
    assert_eq!(error.to_string(), "no connection within 5s");
    assert_eq!(error.sent(), Sent::No);
}

fn quick() -> Limits {
    Limits { tries: 2, ..Limits::default() }
}

async fn socket_error(path: &std::path::Path) -> TransportError {
    Transport::new(UnixSocket::new(path), quick()).send(&get("/os")).await.unwrap_err()
}

#[tokio::test]
async fn a_socket_file_without_a_server_is_told_from_a_missing_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let missing = socket_error(&path).await;
    assert!(matches!(missing, TransportError::Socket(SocketProblem::Missing { .. })), "{missing:?}");
    assert!(missing.to_string().contains("run this as a host container"), "{missing}");

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let stale = socket_error(&path).await;
    assert!(matches!(stale, TransportError::Refused { tries: 2, .. }), "{stale:?}");
    assert!(stale.to_string().contains("stale bind mount"), "{stale}");
    assert_eq!(stale.sent(), Sent::No);
}

#[tokio::test]
async fn what_is_no_socket_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let error = socket_error(dir.path()).await.to_string();
    assert!(error.contains("is a directory, not a socket"), "{error}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = socket_error(&file).await.to_string();
    assert!(error.contains("is a file, not a socket"), "{error}");
}

#[tokio::test]
async fn a_socket_that_we_may_not_write_names_owner_and_group() {
    if nix::unistd::geteuid().is_root() {
        // Root may write everything.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    let error = socket_error(&path).await.to_string();
    assert!(error.contains("mode 0440") && error.contains("group 274"), "{error}");
}

#[test]
fn denials_say_what_to_do() {
    let path = std::path::PathBuf::from("/run/api.sock");
    let denied = SocketProblem::Denied { path: path.clone() }.to_string();
    assert!(denied.contains("control_t"), "{denied}");
    let closed = SocketProblem::NotWritable { path, owner: 0, group: 274, mode: 0o660, uid: 1000, gid: 1000 };
    assert_eq!(
        closed.to_string(),
        "/run/api.sock belongs to 0:274 with mode 0660 and may not be written by 1000:1000: run as root or with the \
         supplementary group 274 (`api` on the host)"
    );
}

/// The real server closes an idle connection; here it does so at once.
#[tokio::test]
async fn over_a_real_socket_a_closed_connection_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, |request| Reply::Last(answer(200, request.target))));
        }
    });
    let transport = Transport::new(UnixSocket::new(&path), Limits::default());
    for target in ["/a", "/b", "/c"] {
        assert_eq!(body(&transport.send(&get(target)).await.unwrap()), target);
    }
}
