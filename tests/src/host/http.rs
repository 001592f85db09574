//! Requests to the host API and its answers, without a transport.

use serde::Serialize;

/// A request to the host API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …, in capitals.
    pub method: String,
    /// The request target, such as `/settings?prefix=updates`.
    pub path_and_query: String,
    /// The `Content-Type` header. `PATCH` is refused without `application/json`.
    pub content_type: Option<String>,
    /// The body; empty where there is none.
    pub body: Vec<u8>,
}

impl Request {
    /// A GET of `path_and_query`.
    pub fn get(path_and_query: &str) -> Self {
        Self { method: "GET".to_owned(), path_and_query: path_and_query.to_owned(), ..Self::default() }
    }

    /// A POST without a body.
    pub fn post(path_and_query: &str) -> Self {
        Self { method: "POST".to_owned(), path_and_query: path_and_query.to_owned(), ..Self::default() }
    }

    /// A PATCH with a JSON body.
    pub fn patch(path_and_query: &str, json: &str) -> Self {
        Self {
            method: "PATCH".to_owned(),
            path_and_query: path_and_query.to_owned(),
            content_type: Some("application/json".to_owned()),
            body: json.as_bytes().to_vec(),
        }
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.path_and_query.split_once('?').map_or(self.path_and_query.as_str(), |(path, _)| path)
    }

    /// The decoded value of a query parameter, `None` where it is not there.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.path_and_query.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(key) == name).then(|| percent_decoded(value))
        })
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the host API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The `content-type` header; handler errors and empty answers have none.
    pub content_type: Option<&'static str>,
    /// The body, byte for byte.
    pub body: String,
}

impl Response {
    /// 200 with compact JSON. `body` must be JSON text.
    pub(super) fn json_text(body: String) -> Self {
        Self { status: 200, content_type: Some("application/json"), body }
    }

    /// 200 with `value` as compact JSON. A value that cannot be written is the server's 500.
    pub(super) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Self::json_text(body),
            Err(error) => Self::error(500, format!("Unable to serialize: {error}")),
        }
    }

    /// 204, without headers.
    pub(super) fn no_content() -> Self {
        Self { status: 204, content_type: None, body: String::new() }
    }

    /// 404 with an empty body: unknown path, or wrong method.
    pub(super) fn not_found() -> Self {
        Self { status: 404, content_type: None, body: String::new() }
    }

    /// A handler's error: text without a content type.
    pub(super) fn error(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: None, body: body.into() }
    }

    /// The headers in the order of the real server. 204 has no `content-length`.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let length = (self.status != 204).then(|| ("content-length", self.body.len().to_string()));
        let kind = self.content_type.map(|kind| ("content-type", kind.to_owned()));
        length.into_iter().chain(kind).collect()
    }

    /// The reason phrase of the status line.
    pub fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            204 => "No Content",
            400 => "Bad Request",
            404 => "Not Found",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Payload Too Large",
            422 => "Unprocessable Entity",
            423 => "Locked",
            500 => "Internal Server Error",
            _ => "Unknown",
        }
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing listens on the API socket: the host is down, booting, or its apiserver is.
    #[error("connection refused (os error 111)")]
    Refused,
    /// The connection stays open, and nothing comes back (docs/facts/host-api.md#trap-17).
    #[error("the answer never comes")]
    Silence {
        /// Whether the host does what it was asked to do. Nobody who asked can know.
        taken: bool,
    },
}

/// Whether the host does what it was asked to do, told or not.
pub(crate) fn is_taken(answer: &Result<Response, NoAnswer>) -> bool {
    match answer {
        Ok(response) => response.is_success(),
        Err(NoAnswer::Silence { taken }) => *taken,
        Err(NoAnswer::Refused) => false,
    }
}
