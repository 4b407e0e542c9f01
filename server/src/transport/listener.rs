//! Accepts connections and drives each through TLS and HTTP, every step under a time limit.
//!
//! Owned by [`crate::server`]. hyper's own header timeout does not cover a peer that is silent after the TLS
//! handshake, or an HTTP/2 peer that answers pings and asks nothing, so a connection on which nothing is going
//! on is ended by a watchdog here.

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    activity::{Activity, Tracked},
    admission::{Admission, Permit},
    http::Handler,
};
use crate::{limits, session::actor::Services};

/// The one port.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    port: Port,
}

/// What every connection needs. Cheap to clone.
#[derive(Clone)]
struct Port {
    tls: TlsAcceptor,
    admission: Arc<Admission>,
    services: Arc<Services>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds the port. Nothing is accepted before [`Listener::run`].
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        admission: Arc<Admission>,
        services: Services,
    ) -> io::Result<Self> {
        let tcp = listen(address)?;
        Ok(Self { tcp, port: Port { tls: tls.into(), admission, services: Arc::new(services) } })
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Accepts until the shutdown, then closes the port.
    pub async fn run(self) {
        let shutdown = self.port.services.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => self.port.take(socket, peer),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Waits a little after a failed accept: with the descriptors used up, the next one would fail at once.
    async fn pause(&self, error: &io::Error) {
        use nix::libc::{EMFILE, ENFILE};
        if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
            self.port.services.metrics.connection_refused("descriptors");
            tracing::error!(
                "no file descriptors left: raise the limit (LimitNOFILE) or lower connections_max"
            );
            sleep(limits::ACCEPT_PAUSE).await;
        } else {
            tracing::debug!(%error, "a connection was gone before it was accepted");
        }
    }
}

impl Port {
    fn take(&self, socket: TcpStream, peer: SocketAddr) {
        let Some(permit) = self.admission.enter(peer.ip()) else { return };
        let port = self.clone();
        self.services.tracker.spawn(async move {
            let aborts = port.services.aborts.clone();
            aborts.run(port.serve(socket, permit)).await;
        });
    }

    async fn serve(self, socket: TcpStream, permit: Permit) {
        // Frames are written whole: waiting for more would only delay them.
        let _ = socket.set_nodelay(true);
        let metrics = &self.services.metrics;
        let tls = match timeout(limits::TLS_HANDSHAKE, self.tls.accept(socket)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(_)) => return metrics.handshake("failed"),
            Err(_) => return metrics.handshake("timeout"),
        };
        metrics.handshake("completed");
        let handler = Handler::new(self.services, permit);
        // Boxed: the future is large, and the task would stay as large as its largest branch.
        Box::pin(drive(tls, handler)).await;
    }
}

/// Serves HTTP on a connection until it ends, is upgraded, idles too long or the hub shuts down.
async fn drive(tls: TlsStream<TcpStream>, handler: Handler) {
    let shutdown = handler.shutdown().clone();
    let activity = Arc::new(Activity::default());
    let service = {
        let activity = activity.clone();
        hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let busy = activity.clone().begin();
            let (handler, activity) = (handler.clone(), activity.clone());
            async move {
                let response = handler.handle(request, &activity).await;
                // The body may go on for as long as the session: busy until it is dropped.
                Ok::<_, std::convert::Infallible>(response.map(|body| Tracked::new(body, busy)))
            }
        })
    };
    let builder = builder();
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(tls), service));
    let mut draining = false;
    let mut seen = activity.look();
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = activity.given_up() => return,
            () = shutdown.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(limits::HTTP_IDLE) => {
                // Nothing was asked for a whole period, and nothing is being answered.
                let (before, now) = (seen, activity.look());
                if now.1 && now.0 == before.0 {
                    return;
                }
                seen = now;
            }
        }
    }
}

/// Binds as tokio does, with room for every device that comes back at once after a restart.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::ACCEPT_BACKLOG)
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEADER)
        .max_buf_size(limits::HTTP_BUFFER_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(limits::H2_PING_INTERVAL))
        .keep_alive_timeout(limits::H2_PING_TIMEOUT)
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .max_header_list_size(limits::H2_HEADER_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(limits::H2_RESETS_PENDING_MAX);
    builder
}
