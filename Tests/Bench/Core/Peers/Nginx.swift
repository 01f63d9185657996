/// nginx, configured to give one small answer as fast as it can.
enum Nginx {
    /// An answer as long as that of a product.
    static let body = #"{"productId":1,"name":"Yoga mat","price":10000,"stock":100,"createdAt":"2026-11-20T03:04:05.678Z"}"#

    /// One process as master and worker, because a separate worker would outlive a master that is killed.
    static func settings(port: Int, folder: String) -> String {
        """
        daemon off;
        master_process off;
        worker_processes 1;
        pid \(folder)/nginx.pid;
        error_log stderr error;
        events { worker_connections 4096; }
        http {
            access_log off;
            client_body_temp_path \(folder);
            proxy_temp_path \(folder);
            fastcgi_temp_path \(folder);
            uwsgi_temp_path \(folder);
            scgi_temp_path \(folder);
            keepalive_requests 1000000000;
            keepalive_timeout 3600s;
            tcp_nodelay on;
            default_type application/json;
            server {
                listen 127.0.0.1:\(port) backlog=1024;
                location / { return 200 '\(body)'; }
            }
        }
        """
    }
}
