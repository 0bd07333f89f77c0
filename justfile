# Recipes for everyday work; `just` lists them. Each is a line or two of cargo, so that none of them is needed.

_list:
    @just --list --unsorted

# Format, lints and tests.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace

# All tests, or those whose name contains a word.
test *name:
    cargo test --workspace {{name}}

# Run a pipeline at full speed: just run pipelines/quickstart.toml --set hot=75
run pipeline *options:
    cargo run --release -- run {{pipeline}} {{options}}

# The benches, then the same questions to the peers that are installed.
bench:
    cargo bench -p dataflow-benches
    cargo build --release
    python3 benches/peers/run.py --program target/release/dataflow

# What snapshots cost: time, memory, the pause of the output, and how long a gigabyte of state takes to be taken up.
snapshots:
    cargo build --release
    python3 benches/snapshots/run.py --program target/release/dataflow

# Spectra, statistics, filters and memory of long traces, beside numpy and scipy.
signals:
    cargo build --release
    python3 benches/signals/run.py --program target/release/dataflow

# Write the generated pages and the schema again, and the library's documentation.
docs:
    cargo run -- reference docs/reference
    cargo run --quiet -- schema > docs/reference/pipeline.schema.json
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Feed the readers with spoilt bytes, so many seconds each; kill runs and go on from there, so many rounds of each pipeline.
soak seconds="3600" rounds="50":
    FUZZ_SECONDS={{seconds}} cargo test --workspace --test promises -- fuzz
    KILL_ROUNDS={{rounds}} cargo test --workspace --test promises -- killed

# Look at generated rows, and at how fast they are made.
heads:
    cargo test --workspace --lib -- --ignored --nocapture heads

# Start a new component from a small one of its kind: just new accumulator product
new kind name:
    #!/usr/bin/env bash
    set -euo pipefail
    name={{ quote(name) }}
    [[ $name =~ ^[a-z][a-z0-9_]*$ ]] || { echo "a name is lower-case letters, digits and _" >&2; exit 2; }
    case {{ quote(kind) }} in
        source)      family=sources;      model=generate ;;
        transform)   family=transforms;   model=limit ;;
        sink)        family=sinks;        model=null ;;
        window)      family=windowing;    model=session ;;
        accumulator) family=accumulators; model=range ;;
        *) echo "the kinds are source, transform, sink, window and accumulator" >&2; exit 2 ;;
    esac
    to=crates/$family/src/$name.rs
    [[ ! -e $to ]] || { echo "$to exists already" >&2; exit 1; }
    cp "crates/$family/src/$model.rs" "$to"
    echo "made   $to, a copy of $model.rs"
    echo "next   write it anew from top to bottom: header, configuration, manual, work, tests"
    echo "       add \`mod $name;\` and a line to \`list()\` in crates/$family/src/lib.rs, in alphabetical order"
    echo "       cargo test -p dataflow-$family   (the laws of the family run on every listed component)"
    echo "       just docs                        (its page and the schema follow)"
    echo "       docs/adding-a-component.md explains each step"
