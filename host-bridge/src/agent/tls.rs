//! Connections to an AWS endpoint, by name, with TLS.
//!
//! A report goes out once in hours, so nothing is kept for it: the trusted roots are read from the image's own store
//! at each connection and freed with it, which also takes up renewed ones. `SSL_CERT_FILE` names another store.

use std::io;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::transport::{BoxFuture, ByteStream, Connect};

/// A server by name, with or without TLS.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl Connect for Named {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            if !self.tls {
                return Ok(Box::new(stream) as Box<dyn ByteStream>);
            }
            let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(Arc::new(config()?)).connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    fn peer(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn config() -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(io::Error::other(format!(
            "this image has no trusted root certificates; set SSL_CERT_FILE ({why})"
        )));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
