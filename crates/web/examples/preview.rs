//! Serves the pages over the sample shop: `cargo run -p hoplog-web --example preview -- 8080`.
//! A second argument `empty` serves them over an empty store.

#[path = "../samples/world.rs"]
mod world;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let port = args.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let answers = match args.next().as_deref() {
        Some("empty") => world::empty(),
        _ => world::shop(20_000).await,
    };
    let router = hoplog_web::router(answers, world::config());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("a free port");
    println!("http://{}", listener.local_addr().expect("bound"));
    axum::serve(listener, router)
        .await
        .expect("served until ended");
}
