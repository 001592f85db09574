//! What is asked of both hosts, and how exactly the answers must agree.

use crate::host::{Command, Request};

/// A transaction that nobody uses, and a name that nothing has.
const NOBODY: &str = "fleet-sim-conform";

/// A request, and what of its answer is compared.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) request: Request,
    pub(super) exactly: Exactly,
}

/// How exactly two answers must agree, beside status and content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exactly {
    /// Byte for byte.
    Text,
    /// As JSON: the fields that the simulator knows.
    Json,
    /// As JSON of the same type: what is in it is this host's.
    Type,
    /// A text up to the words that name what the host's model has.
    UpToTheModel,
}

impl Compared {
    pub(super) fn title(&self) -> String {
        let Request { method, path_and_query, body, .. } = &self.request;
        match std::str::from_utf8(body) {
            Ok(body) if !body.is_empty() => format!("{method} {path_and_query} <- {body}"),
            Ok(_) | Err(_) => format!("{method} {path_and_query}"),
        }
    }
}

/// Those that change nothing: they read, are refused, or leave a transaction of their own without a setting.
pub(super) fn harmless(locked_down: bool) -> Vec<Compared> {
    let compared = |exactly| move |request| Compared { request, exactly };
    let reads = [
        "/os",
        "/os?prefix=version",
        "/updates/status",
        "/settings?prefix=updates",
        "/settings?keys=settings.updates.version-lock,settings.updates.ignore-waves",
        "/services?names=updog",
        "/services?names=thar-be-updates",
        "/configuration-files?names=updog-toml",
        "/metadata/affected-services?keys=settings.updates",
    ];
    let texts = [
        "/os?prefix=",
        "/nonexistent",
        "/settings?prefix=",
        "/settings?keys=",
        "/settings?keys=settings.nope",
        "/services?names=",
        "/services?names=fleet-sim-conform",
        "/services?prefix=fleet-sim-conform",
        "/configuration-files?names=fleet-sim-conform",
        "/configuration-files?prefix=fleet-sim-conform",
        "/metadata/affected-services",
        "/metadata/affected-services?keys=",
        "/actions/refresh-updates",
        "/actions/reboot",
        "/tx?tx=fleet-sim-conform",
    ];
    let other = |method: &str, target: &str| Request { method: method.to_owned(), ..Request::get(target) };
    let refused = [
        other("HEAD", "/os"),
        other("PUT", "/os"),
        Request::post("/os"),
        Request::post(&format!("/tx/commit?tx={NOBODY}")),
        Request::post(&format!("/tx/commit_and_apply?tx={NOBODY}")),
        Request { content_type: None, ..Request::patch(&format!("/settings?tx={NOBODY}"), "{}") },
        Request {
            content_type: Some("text/plain".to_owned()),
            ..Request::patch(&format!("/settings?tx={NOBODY}"), "{}")
        },
    ];
    let patches = ["{}", "{\"updates\":", "", "{\"updates\":null}", "{\"updates\":{\"version-lock\":null}}"]
        .into_iter()
        .chain(["{\"updates\":{\"version-lock\":\"newest\"}}", "{\"updates\":{\"ignore-waves\":\"yes\"}}"]);
    let patches = patches.map(|body| Request::patch(&format!("/settings?tx={NOBODY}"), body));
    let key_pairs = ["{\"request_payload\":[\"motd\"]}", "{\"request_payload\":[\"updates.version-lock=newest\"]}"]
        .into_iter()
        .chain(["{\"request_payload\":[\"=1\"]}", "{\"request_payload\":[]}", "{}"])
        .map(|body| Request::patch(&format!("/settings/keypair?tx={NOBODY}"), body));
    let model = [Request::patch(&format!("/settings?tx={NOBODY}"), "{\"updates\":{\"nope\":1}}")];
    let stores = |request: &Request| {
        ["/settings", "/tx", "/services", "/configuration-files", "/metadata"]
            .iter()
            .any(|path| request.path().starts_with(path))
    };
    let all = reads
        .map(Request::get)
        .into_iter()
        .map(compared(Exactly::Json))
        .chain(
            ["/tx/list", "/services", "/configuration-files"]
                .map(Request::get)
                .into_iter()
                .map(compared(Exactly::Type)),
        )
        .chain(texts.map(Request::get).into_iter().map(compared(Exactly::Text)))
        .chain(refused.into_iter().chain(patches).chain(key_pairs).map(compared(Exactly::Text)))
        .chain(model.into_iter().map(compared(Exactly::UpToTheModel)));
    // Under API lockdown each of these is an error of the data store, whose words name paths of the host.
    all.filter(|one| !locked_down || !stores(&one.request)).collect()
}

pub(super) fn status() -> Compared {
    Compared { request: Request::get("/updates/status"), exactly: Exactly::Json }
}

pub(super) fn command(command: Command) -> Compared {
    let path = match command {
        Command::Refresh => "/actions/refresh-updates",
        Command::Prepare => "/actions/prepare-update",
        Command::Activate => "/actions/activate-update",
        Command::Deactivate => "/actions/deactivate-update",
    };
    Compared { request: Request::post(path), exactly: Exactly::Text }
}
