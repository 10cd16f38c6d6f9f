//! `health`, and what `up` says at its end.

use crate::ui::language::catalogue::Phrase;

pub(super) const PHRASES: &[Phrase] = &[
    ("health: ", "健康状况："),
    ("healthy", "健康"),
    ("degraded", "降级"),
    ("unhealthy", "不健康"),
    ("answered in", "应答用时"),
    ("ok", "正常"),
    ("not running", "未运行"),
    ("not running; {}", "未运行；{0}"),
    ("{} of {} services are not healthy", "{1} 个服务中有 {0} 个不健康"),
    (
        "start what is stopped: `mprism start`",
        "启动已停止的服务：`mprism start`",
    ),
    ("{}{} answered {}: {}", "{0}{1} 应答 {2}：{3}"),
    ("takes us", "接受我们"),
    ("no answer within {} ms", "{0} 毫秒内无应答"),
    ("Connection refused (os error 111)", "连接被拒绝 (os error 111)"),
    // The data flow.
    ("nothing new from {}: {}", "{0} 没有新数据：{1}"),
    (
        "see what the collector says of it: `mprism logs collector --level warn`",
        "查看采集器的说法：`mprism logs collector --level warn`",
    ),
    (
        "connect anew: `mprism restart collector`",
        "重新连接：`mprism restart collector`",
    ),
    ("type", "类型"),
    ("exchange", "交易所"),
    ("rows in 5 min", "5 分钟行数"),
    ("last", "最近"),
    ("flowing", "流动"),
    ("waiting", "等待"),
    ("stalled", "停滞"),
    ("off", "关闭"),
    ("stream", "流"),
    ("messages", "消息"),
    ("bytes", "大小"),
    ("not stored yet", "尚未入库"),
    // up
    ("rows", "行数"),
    ("everything is healthy; running for {}", "全部健康；将运行 {0}"),
    (
        "socket to readable: p50 {}, p90 {}, p99 {}",
        "从接收到可读：p50 {0}，p90 {1}，p99 {2}",
    ),
    // Asking the store.
    ("cannot make HTTP connections", "无法建立 HTTP 连接"),
    ("cannot read from clickhouse at {}", "无法读取 {0} 的 clickhouse"),
    (
        "start it, if it is stopped: `mprism start`",
        "若已停止，请启动：`mprism start`",
    ),
    ("no TLS with clickhouse at {}", "与 {0} 的 clickhouse 无法建立 TLS"),
    (
        "look at clickhouse.tls.ca_file in the settings",
        "查看配置中的 clickhouse.tls.ca_file",
    ),
    ("clickhouse refused a query", "clickhouse 拒绝了一个查询"),
    ("clickhouse broke a query off", "clickhouse 中断了一个查询"),
    ("clickhouse answered something unexpected", "clickhouse 的应答出乎意料"),
    (
        "clickhouse answered {} rows where one was expected",
        "clickhouse 应答了 {0} 行，应为一行",
    ),
    // Other hosts.
    (
        "believe its authority: copy `tls/ca.pem` of its home and name it as `{}.ca_file`",
        "信任它的签发者：把它那个 home 的 `tls/ca.pem` 复制过来，并写为 `{0}.ca_file`",
    ),
    (
        "renew its certificate: on its host, `mprism init` and `mprism restart {}`",
        "更新它的证书：在它的主机上 `mprism init`，再 `mprism restart {0}`",
    ),
    (
        "reach it by a name of its certificate, or add this one on its host: `tls: {}`, `mprism init`, `mprism restart {}`",
        "用证书上的名字访问它，或在它的主机上加上这个名字：`tls: {0}`，`mprism init`，`mprism restart {1}`",
    ),
    (
        "set the clocks of both hosts: `timedatectl`",
        "校准两台主机的时钟：`timedatectl`",
    ),
    (
        "one side speaks TLS and the other does not: look at the scheme of its address in the settings",
        "一方使用 TLS 而另一方没有：查看配置中它的地址的协议",
    ),
    (
        "copy the credential from the host of `{}` and keep it to yourself: `chmod 600 FILE`; there, `mprism env` says where it is",
        "从 `{0}` 的主机复制凭据，且只有自己可读：`chmod 600 FILE`；在那里 `mprism env` 会说它在何处",
    ),
    (
        "show the right credential: copy it anew from the host of `{}`, and look at {}: `mprism config show`",
        "出示正确的凭据：从 `{0}` 的主机重新复制，并查看 {1}：`mprism config show`",
    ),
    ("cannot read the credential {}", "无法读取凭据 {0}"),
    ("make it: `mprism init`", "生成它：`mprism init`"),
    (
        "copy it from the home that runs the broker; there, `mprism env` says where it is",
        "从运行消息服务器的 home 复制；在那里 `mprism env` 会说它在何处",
    ),
    (
        "only its owner may read it: `chmod 600 {}`",
        "只有属主可读：`chmod 600 {0}`",
    ),
    (
        "copy `secrets/clickhouse-writer` of the home whose engine that is; only its owner may read it",
        "复制该引擎所属 home 的 `secrets/clickhouse-writer`；只有属主可读",
    ),
];
