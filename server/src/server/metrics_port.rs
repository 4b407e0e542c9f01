//! `/metrics` for Prometheus, on a loopback address, plain HTTP.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, time::timeout};

use super::StartError;
use crate::{limits, session::actor::Services};

/// Binds the address and serves it until the shutdown. Returns the address that was bound.
pub(super) async fn start(address: SocketAddr, services: &Services) -> Result<SocketAddr, StartError> {
    let failed = |cause| StartError::Bind {
        what: "the metrics port",
        place: address.to_string(),
        mend: "stop the program that uses it, or change `metrics` (empty: none)",
        cause,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    services.tracker.spawn(serve(listener, services.clone()));
    Ok(bound)
}

/// One connection at a time: a collector asks every few seconds, and nobody else should ask at all.
async fn serve(listener: TcpListener, services: Services) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            continue;
        };
        let answer = hyper::service::service_fn(|request| std::future::ready(answer(&request, &services)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HTTP_HEADER)
            .keep_alive(false)
            .serve_connection(TokioIo::new(socket), answer);
        let _ = timeout(limits::METRICS_CONNECTION, connection).await;
    }
}

fn answer(request: &Request<Incoming>, services: &Services) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.method() == Method::GET && request.uri().path() == "/metrics" {
        *response.body_mut() = Full::new(Bytes::from(services.metrics.text()));
        let text = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}
