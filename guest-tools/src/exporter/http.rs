// SPDX-License-Identifier: GPL-2.0
//! The scrape endpoint.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tiny_http::{Header, Method, Request, Response, Server};

use super::{complain, TICK};
use crate::error::{Error, Result};
use crate::output::Output;

/// What Prometheus calls its text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers each scrape by what `text` reads, until the flag is set.
pub(super) fn serve(
    address: SocketAddr,
    stop: &AtomicBool,
    out: &mut Output<'_>,
    text: impl Fn() -> Result<Vec<u8>>,
) -> Result<()> {
    let server = Server::http(address)
        .map_err(|error| Error::system(format!("cannot listen at {address}"), other(error)))?;
    // The system chose the port if 0 was asked for.
    let bound = server.server_addr().to_ip().unwrap_or(address);
    writeln!(out, "Serving http://{bound}/metrics until SIGTERM")?;
    out.flush()?;
    while !stop.load(Ordering::Relaxed) {
        let request = server
            .recv_timeout(TICK)
            .map_err(|error| Error::system("cannot take a request", error))?;
        if let Some(request) = request {
            answer(request, &text);
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

fn answer(request: Request, text: impl Fn() -> Result<Vec<u8>>) {
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
    // A scraper that hung up is no concern of ours.
    let _ = request.respond(response);
}
