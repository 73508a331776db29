// SPDX-License-Identifier: GPL-2.0
//! The scrape endpoint.

use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

use tiny_http::{Header, Method, Request, Response, Server};

use crate::error::{Error, Result};
use crate::output::{complain, Output};
use crate::signals::{self, Signal, TICK};

/// What Prometheus calls its text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers each scrape by what `text` reads, until the flag is set.
pub(super) fn serve(
    address: &str,
    stop: &Signal,
    out: &mut Output<'_>,
    mut text: impl FnMut() -> Result<Vec<u8>>,
) -> Result<()> {
    let cannot = |error| Error::system(format!("cannot listen at {address}"), error);
    let all: Vec<SocketAddr> = match address.strip_prefix(':') {
        // As other servers take it: at all addresses of this machine.
        Some(port) => [format!("[::]:{port}"), format!("0.0.0.0:{port}")]
            .iter()
            .filter_map(|any| any.parse().ok())
            .collect(),
        None => address.to_socket_addrs().map_err(cannot)?.collect(),
    };
    let server = Server::http(&all[..]).map_err(|error| cannot(other(error)))?;
    // The system chose the port if 0 was asked for.
    let bound = server
        .server_addr()
        .to_ip()
        .map_or_else(|| address.into(), |bound| bound.to_string());
    writeln!(out, "Serving http://{bound}/metrics until SIGTERM")?;
    out.flush()?;
    while !signals::came(stop) {
        let request = server
            .recv_timeout(TICK)
            .map_err(|error| Error::system("cannot take a request", error))?;
        if let Some(request) = request {
            answer(request, &mut text);
        }
    }
    Ok(())
}

fn other(error: Box<dyn std::error::Error + Send + Sync>) -> std::io::Error {
    match error.downcast::<std::io::Error>() {
        Ok(error) => *error,
        Err(error) => std::io::Error::other(error),
    }
}

fn answer(request: Request, text: &mut impl FnMut() -> Result<Vec<u8>>) {
    let path = request.url().split('?').next().unwrap_or_default();
    let asks = matches!(request.method(), Method::Get | Method::Head);
    let (status, kind, body) = match (asks, path) {
        (false, _) => (
            405,
            PLAIN,
            b"Only GET and HEAD are answered here.\n".to_vec(),
        ),
        (true, "/metrics") => match text() {
            Ok(text) => (200, PROMETHEUS, text),
            Err(error) => {
                complain(&error);
                (503, PLAIN, format!("{error}\n").into_bytes())
            }
        },
        (true, "/") => (
            200,
            PLAIN,
            b"vmxscope: the figures are at /metrics\n".to_vec(),
        ),
        (true, _) => (404, PLAIN, b"The figures are at /metrics\n".to_vec()),
    };
    let mut response = Response::from_data(body).with_status_code(status);
    if let Ok(header) = Header::from_bytes("Content-Type", kind) {
        response.add_header(header);
    }
    // A client that does not read holds up only its own thread. One that hung up is no
    // concern of ours.
    thread::spawn(move || request.respond(response));
}
