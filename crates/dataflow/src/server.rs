//! `/metrics`, `/healthz` and `/readyz` over HTTP, on a thread that sleeps between requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use dataflow_core::{Error, Result};
use dataflow_engine::Metrics;
use tiny_http::{Header, Method, Response, Server};

use crate::prometheus;

/// A server of a run's numbers; it ends when this is dropped.
pub struct MetricsServer {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
    address: Option<SocketAddr>,
}

impl MetricsServer {
    /// Serves the numbers of `pipeline` at `address`.
    ///
    /// # Errors
    /// When nothing can listen there.
    pub fn start(address: SocketAddr, pipeline: &str, metrics: Arc<Metrics>) -> Result<Self> {
        let server = Server::http(address).map_err(|error| {
            Error::resource(format!("cannot listen on {address} for metrics: {error}")).help(
                "choose another address with `--metrics`, such as 127.0.0.1:0 for any free port",
            )
        })?;
        let server = Arc::new(server);
        let serving = Arc::clone(&server);
        let pipeline = pipeline.to_string();
        let work = move || {
            while let Ok(request) = serving.recv() {
                answer(request, &pipeline, &metrics);
            }
        };
        let thread = std::thread::Builder::new()
            .name("metrics".to_string())
            .spawn(work);
        let thread = thread.map_err(|error| {
            Error::resource(format!("cannot start the metrics thread: {error}"))
        })?;
        let address = server.server_addr().to_ip();
        Ok(Self {
            server,
            thread: Some(thread),
            address,
        })
    }

    /// Where it listens (the port is real where 0 was asked for).
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            // The thread runs only the loop above; a panic in it concerns nobody any more.
            let _ = thread.join();
        }
    }
}

fn answer(request: tiny_http::Request, pipeline: &str, metrics: &Metrics) {
    let (status, body) = match (request.method(), request.url()) {
        (Method::Get | Method::Head, "/metrics") => {
            (200, prometheus::text(pipeline, &metrics.numbers()))
        }
        (Method::Get | Method::Head, "/healthz" | "/readyz") => (200, "ok\n".to_string()),
        (Method::Get | Method::Head, _) => (404, "try /metrics, /healthz or /readyz\n".to_string()),
        _ => (405, "only GET\n".to_string()),
    };
    let mut response = Response::from_string(body).with_status_code(status);
    if let Ok(header) =
        Header::from_bytes("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
    {
        response = response.with_header(header);
    }
    // The other end may have gone; it will ask again.
    let _ = request.respond(response);
}
