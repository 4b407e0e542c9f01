//! What each path of the port does: WebSocket, gRPC stream, attachments, health. Called by the [`super::listener`] for
//! every request of a connection.

use std::{future::ready, sync::Arc};

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    frame::{GRPC_PATH, WEBSOCKET_PATH},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, body::Body, server::StreamingService};

use super::{
    activity::Activity,
    admission::Permit,
    allowance::{Allowance, LimitedBody},
    blobs,
    grpc::{self, Outbound},
    lanes,
    ws::{self, WsLink},
};
use crate::{
    error::Refusal,
    limits,
    session::actor::{self, Services},
};

/// Answers the requests of one connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handler {
    services: Arc<Services>,
    /// Held by the connection and by each session on it: an upgraded socket outlives its HTTP connection.
    permit: Arc<Permit>,
}

impl Handler {
    /// For the connection that `permit` was given to.
    #[must_use]
    pub fn new(services: Arc<Services>, permit: Permit) -> Self {
        Self { services, permit: Arc::new(permit) }
    }

    /// Cancelled when the hub shuts down.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.services.shutdown
    }

    /// Answers a request on a connection with this activity.
    pub async fn handle(self, request: Request<Incoming>, activity: &Arc<Activity>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, WEBSOCKET_PATH) => self.websocket(request),
            (&Method::POST, GRPC_PATH) => {
                let allowance = Allowance::new();
                let request = request.map(|body| LimitedBody::new(body, allowance.clone()));
                grpc::server().streaming(Connect(self, allowance), request).await
            }
            (&Method::GET | &Method::HEAD, "/health/live") => text(StatusCode::OK, "live\n"),
            (&Method::GET | &Method::HEAD, "/health/ready") => self.ready(),
            (_, path) if path.starts_with(blobs::BLOBS_PATH) => {
                blobs::handle(&self.services, activity, request).await
            }
            (_, path) if path.starts_with(lanes::LANES_PATH) => lanes::handle(&self.services, request).await,
            _ => text(StatusCode::NOT_FOUND, "nothing here\n"),
        }
    }

    fn ready(&self) -> Response<Body> {
        let unavailable = |why| text(StatusCode::SERVICE_UNAVAILABLE, why);
        if self.services.shutdown.is_cancelled() {
            unavailable("shutting down\n")
        } else if self.services.store.is_healthy() {
            text(StatusCode::OK, "ready\n")
        } else {
            unavailable("the store takes no writes\n")
        }
    }

    fn websocket(self, mut request: Request<Incoming>) -> Response<Body> {
        let response = match ws::accept(request.headers()) {
            Ok(response) => response,
            Err((status, why)) => return text(status, why),
        };
        let upgrade = hyper::upgrade::on(&mut request);
        // A task of its own, so that it is not as large as the connection's.
        let Self { services, permit } = self;
        let tracker = services.tracker.clone();
        tracker.spawn(async move {
            let refused = refusal(&permit);
            if let Ok(upgraded) = upgrade.await {
                let link = WsLink::new(upgraded).await;
                Box::pin(actor::run(link, services, refused)).await;
            }
            drop(permit);
        });
        response.map(|()| Body::empty())
    }

    fn grpc(self, inbound: Streaming<Bytes>, allowance: Allowance) -> Outbound {
        let (link, outbound) = grpc::link(inbound, allowance);
        let Self { services, permit } = self;
        let tracker = services.tracker.clone();
        tracker.spawn(async move {
            let refused = refusal(&permit);
            Box::pin(actor::run(link, services, refused)).await;
            drop(permit);
        });
        outbound
    }
}

/// The first and last frame on a connection above a limit.
fn refusal(permit: &Permit) -> Option<Refusal> {
    let full = Refusal::of(ErrorCode::TooManyConnections).retry_after(limits::RETRY_AFTER_FULL_MS);
    (!permit.is_admitted()).then_some(full)
}

/// The one gRPC method.
struct Connect(Handler, Allowance);

impl StreamingService<Bytes> for Connect {
    type Response = Bytes;
    type ResponseStream = Outbound;
    type Future = std::future::Ready<Result<tonic::Response<Outbound>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.clone().grpc(request.into_inner(), self.1.clone()))))
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
