//! The gRPC messages and services of `proto/hoplog/v1`, generated and checked in.
//!
//! `gen/hoplog.v1.rs` and `gen/hoplog.v1.bin` are exactly what protox 0.9.1 and tonic-prost-build
//! 0.14 make; a test makes them again and compares:
//!
//! ```text
//! let set = protox::compile(["hoplog/v1/query.proto"], ["proto"])?;
//! fs::write("hoplog.v1.bin", set.encode_to_vec())?;
//! tonic_prost_build::configure()
//!     .build_client(true)
//!     .build_server(true)
//!     .build_transport(false)
//!     .out_dir(".")
//!     .compile_fds(set)?;
//! ```

include!("gen/hoplog.v1.rs");

/// The encoded `FileDescriptorSet` of the services, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/hoplog.v1.bin");
