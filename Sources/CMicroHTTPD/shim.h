// What Swift cannot call or see in libmicrohttpd: variadic functions and cast macros.
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <arpa/inet.h>

static const uint64_t cmhd_size_unknown = MHD_SIZE_UNKNOWN;
static const ssize_t cmhd_end_of_stream = MHD_CONTENT_READER_END_OF_STREAM;
static const ssize_t cmhd_end_with_error = MHD_CONTENT_READER_END_WITH_ERROR;

struct cmhd_settings {
    const char *address;           // IPv4, dotted
    unsigned short port;           // 0: any free port
    int listen_socket;             // -1: one of its own at the address; else this one, which it closes
    unsigned int threads;          // epoll threads
    unsigned int connection_limit; // connections at once
    unsigned int timeout_s;        // idle connection is closed after this
    size_t memory_limit;           // bytes a connection for head and buffers
    const char *certificate, *key; // PEM; NULL: no TLS
};

typedef enum MHD_Result (*cmhd_handler)(void *, struct MHD_Connection *, const char *, const char *, const char *,
                                        const char *, size_t *, void **);

/// Leaves a target as it was sent: a percent sign decoded before the path is split would make one segment two.
static inline size_t cmhd_keep_escaped(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    return strlen(text);
}

/// Starts a daemon bound to the address, alone: MHD_OPTION_LISTENING_ADDRESS_REUSE would be SO_REUSEPORT, and two services on one
/// port. Returns NULL with errno set when it cannot.
static inline struct MHD_Daemon *cmhd_start(const struct cmhd_settings *settings, cmhd_handler handler, void *context,
                                            MHD_RequestCompletedCallback completed,
                                            MHD_NotifyConnectionCallback connection, MHD_LogCallback logger) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(settings->port);
    if (inet_pton(AF_INET, settings->address, &address.sin_addr) != 1) return NULL;
    // 1.0 and 1.1 are no longer safe (RFC 8996).
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)settings->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)settings->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (settings->certificate ? MHD_USE_TLS : 0),
        settings->port, NULL, NULL, handler, context, MHD_OPTION_EXTERNAL_LOGGER, logger, context, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&address, MHD_OPTION_LISTEN_SOCKET, settings->listen_socket, MHD_OPTION_THREAD_POOL_SIZE, settings->threads, MHD_OPTION_CONNECTION_LIMIT,
        settings->connection_limit, MHD_OPTION_CONNECTION_TIMEOUT, settings->timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, settings->memory_limit, MHD_OPTION_NOTIFY_COMPLETED, completed, context,
        MHD_OPTION_UNESCAPE_CALLBACK, cmhd_keep_escaped, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, connection, context, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, settings->certificate ? tls : none,
        MHD_OPTION_END);
}

/// The port the daemon listens on.
static inline int cmhd_port(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : -1;
}

/// The client's IPv4 address, dotted, into `text` of INET_ADDRSTRLEN bytes; empty where there is none.
static inline void cmhd_address(struct MHD_Connection *connection, char *text) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    text[0] = 0;
    if (info && info->client_addr && info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)info->client_addr)->sin_addr, text, INET_ADDRSTRLEN);
}

/// The connection's socket, or -1.
static inline int cmhd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static inline int cmhd_connection_is_started(enum MHD_ConnectionNotificationCode code) {
    return code == MHD_CONNECTION_NOTIFY_STARTED;
}
