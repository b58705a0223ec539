//! A commit whose answer is cut off: what is committed is told as committed, and nothing else.

use runtime::config::DatabasePooler;
use runtime::postgres::{Fault, Timeouts, begin, classify, pool_behind};
use sqlx::{Connection, Executor, PgConnection};
use stack::{Postgres, fresh_database};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The tag that Postgres answers a commit with, as a message: kind, length, text.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// Passes everything on until a commit is answered, and then cuts off before or behind that answer.
async fn cutting_proxy(postgres_port: u16, passes_answer: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", postgres_port)).await.expect("Postgres is there");
            tokio::spawn(pass_on(client, server, passes_answer));
        }
    });
    port
}

async fn pass_on(client: TcpStream, server: TcpStream, passes_answer: bool) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut answers = Vec::new();
    let cut = loop {
        let passed = answers.len();
        if from_server.read_buf(&mut answers).await? == 0 {
            break passed;
        }
        if let Some(at) = answers.windows(COMMITTED.len()).position(|message| message == COMMITTED) {
            to_client
                .write_all(&answers[passed..if passes_answer { at + COMMITTED.len() } else { at.max(passed) }])
                .await?;
            break at;
        }
        to_client.write_all(&answers[passed..]).await?;
    };
    questions.abort();
    assert!(cut > 0, "no commit was cut off");
    Ok(())
}

async fn check(pooler: DatabasePooler, passes_answer: bool) {
    let direct = fresh_database();
    let mut onlooker = PgConnection::connect(&direct).await.expect("connected");
    onlooker.execute("create table shelf (stock int)").await.expect("a table");
    let name: String =
        sqlx::query_scalar("select current_database()::text").fetch_one(&mut onlooker).await.expect("a name");
    let postgres = Postgres::shared();
    let port = cutting_proxy(postgres.port(), passes_answer).await;
    let url = postgres.tcp_url(&name).replace(&format!(":{}/", postgres.port()), &format!(":{port}/"));
    let pool = pool_behind(pooler, &url, 1, "scene").expect("an address");
    let mut transaction = begin(&pool, Timeouts::CHANGE).await.expect("begun");
    transaction.execute("insert into shelf values (1)").await.expect("inserted");
    let told = transaction.commit().await;
    let what = format!("{pooler:?}, the answer comes through: {passes_answer}");
    match &told {
        Ok(()) => assert!(passes_answer, "{what}"),
        Err(error) => {
            assert!(!passes_answer, "{what}: {error:?}");
            assert_eq!(classify(error), Fault::Transient, "{what}: {error:?}");
        }
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from shelf").fetch_one(&mut onlooker).await.expect("a count");
    assert_eq!(rows, 1, "{what}");
    // The session that was cut off is not lent again.
    sqlx::query_scalar::<_, i32>("select 1").fetch_one(&pool).await.expect("a new session");
}

#[tokio::test]
async fn a_commit_is_told_as_done_once_postgres_said_so_and_not_before() {
    for pooler in [DatabasePooler::None, DatabasePooler::Transaction] {
        for passes_answer in [true, false] {
            check(pooler, passes_answer).await;
        }
    }
}
