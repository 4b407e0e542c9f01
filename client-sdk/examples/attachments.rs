//! How fast a document goes to the hub and back, beside a plain copy of the same file over the same TLS.
//!
//! `cargo run --release -p cercle-sdk --example attachments [MEGABYTES]`. Everything is in one process on
//! loopback: clients, hub, disks. The plain copy reads the file, sends it over TLS 1.3 with the same provider,
//! writes it and waits for the disk; a document is hashed, encrypted, spooled, sent, written in parts with
//! fsync, and on the way back decrypted, verified and waited for. Leaves with 1 if a byte is wrong.

#[path = "../tests/conversations/client_world.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "made for tests")]
mod client_world;

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use cercle_sdk::{
    sealing::{CHUNK_BYTES, Sealer},
    transfer::{AttachOptions, Destination},
};
use client_world::{Hub, pair};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, version::TLS13};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes: u64 = std::env::args().nth(1).map_or(Ok(100), |argument| argument.parse())?;
    let home = tempfile::tempdir()?;
    let file = home.path().join("document.bin");
    write_file(&file, megabytes * 1_000_000)?;
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = pair(&alice, &bob).await;
    let (copied, target) = (home.path().join("copied.bin"), home.path().join("fetched.bin"));
    let (mut plain, mut up, mut down, mut sealed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sealed.push(seal(&file)?);
        plain.push(plain_copy(&file, &copied).await?);
        let watch = start_watch();
        let document = alice.upload(group, file.clone(), AttachOptions::default()).await?;
        up.push(watch.elapsed());
        let watch = start_watch();
        bob.fetch(&document, Destination { path: target.clone(), overwrite: true }).await?;
        down.push(watch.elapsed());
        if fs::read(&file)? != fs::read(&target)? || fs::read(&file)? != fs::read(&copied)? {
            std::process::exit(1);
        }
    }
    let [plain, up, down, sealed] = [plain, up, down, sealed].map(|times| rate(megabytes, times));
    let (up_ratio, down_ratio) = (up / plain, down / plain);
    print(&format!(
        "{{\"megabytes\":{megabytes},\"rounds\":{ROUNDS},\"seal_mb_s\":{sealed:.0},\"plain_mb_s\":{plain:.0},\
         \"upload_mb_s\":{up:.0},\"download_mb_s\":{down:.0},\"upload_ratio\":{up_ratio:.2},\
         \"download_ratio\":{down_ratio:.2}}}"
    ));
    Ok(())
}

/// Hashing and encrypting alone.
fn seal(path: &Path) -> std::io::Result<Duration> {
    let content = fs::read(path)?;
    let watch = start_watch();
    let mut sealer = Sealer::new(&[7; 32]);
    let count = content.chunks(CHUNK_BYTES).count();
    for (index, chunk) in content.chunks(CHUNK_BYTES).enumerate() {
        sealer.seal(&mut chunk.to_vec(), index + 1 == count);
    }
    Ok(watch.elapsed())
}

/// Sends the file over TLS to a server that writes it and answers when it is on the disk.
async fn plain_copy(from: &Path, to: &Path) -> Result<Duration, Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut target = File::create(to)?;
    let receiving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await?;
        let mut tls = TlsAcceptor::from(Arc::new(server)).accept(socket).await?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match tls.read(&mut buffer).await? {
                0 => break,
                count => target.write_all(&buffer[..count])?,
            }
        }
        target.sync_all()?;
        tls.write_all(b"!").await?;
        tls.shutdown().await
    });
    let mut source = File::open(from)?;
    let watch = start_watch();
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut tls =
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost")?, socket).await?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut buffer)? {
            0 => break,
            count => tls.write_all(&buffer[..count]).await?,
        }
    }
    tls.shutdown().await?;
    tls.read_u8().await?;
    let taken = watch.elapsed();
    receiving.await??;
    Ok(taken)
}

/// Bytes that do not compress.
fn write_file(path: &Path, size: u64) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..size / 8 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        file.write_all(&word.to_be_bytes())?;
    }
    file.flush()
}

/// Megabytes a second, of the median time.
fn rate(megabytes: u64, mut times: Vec<Duration>) -> f64 {
    times.sort();
    let megabytes = u32::try_from(megabytes).map_or(f64::MAX, f64::from);
    megabytes / times[times.len() / 2].as_secs_f64()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn start_watch() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "the result of a benchmark")]
fn print(line: &str) {
    println!("{line}");
}
