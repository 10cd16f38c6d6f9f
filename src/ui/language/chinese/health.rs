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
];
