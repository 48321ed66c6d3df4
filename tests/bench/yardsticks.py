"""What the warm rate is compared with: nginx sending a file, and nginx with Orthanc's pictures in its `proxy_cache`."""

import base64
import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx

from deploy.local.ports import HOST, is_free
from deploy.local.start_gateway import NGINX
from tests.bench.ground import PICTURE, Ground
from tests.bench.wrk import Request

_CONF = """
{user}
daemon off;
worker_processes 2;
pid {root}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    default_type image/jpeg;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    proxy_cache_path {root}/cache keys_zone=pictures:10m;
    server {{
        listen {host}:{port};
        location /file/ {{ alias {root}/files/; }}
        location /instances/ {{
            proxy_pass {orthanc};
            proxy_cache pictures;
            proxy_cache_valid 200 1h;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Yardsticks:
    """Where they answer, and what is asked of them."""

    orthanc: str
    nginx: str
    pictures: Sequence[Request]
    files: Sequence[Request]


def orthanc_headers(ground: Ground) -> Mapping[str, str]:
    """Orthanc's own pictures: JPEG, as the administrator."""
    env = ground.running.env
    known = base64.b64encode(f"{env['ORTHANC_USER']}:{env['ORTHANC_PASSWORD']}".encode()).decode()
    return {"Authorization": f"Basic {known}", "Accept": "image/jpeg"}


@contextlib.contextmanager
def yardsticks(ground: Ground, ids: Sequence[str]) -> Iterator[Yardsticks]:
    """A second nginx with the pictures of these images, as files and in its cache."""
    root, orthanc = ground.system.root / "yardsticks", ground.running.env["ORTHANC_URL"]
    port = next(port for port in random.sample(range(20000, 32000), 100) if is_free(port))
    url, headers = f"http://{HOST}:{port}", orthanc_headers(ground)
    pictures = [Request(f"/instances/{one}/{PICTURE}", headers) for one in ids]
    (root / "files").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        answer = httpx.get(orthanc + picture.path, headers=dict(headers), trust_env=False).raise_for_status()
        (root / "files" / f"{number}.jpg").write_bytes(answer.content)
    conf = root / "nginx.conf"
    conf.write_text(_CONF.format(user="user root;", root=root, host=HOST, port=port, orthanc=orthanc))
    process = subprocess.Popen([NGINX, "-p", str(root), "-c", str(conf), "-e", "stderr"])
    try:
        while is_free(port):
            time.sleep(0.05)
        for picture in pictures:  # into the cache
            httpx.get(url + picture.path, headers=dict(headers), trust_env=False).raise_for_status()
        yield Yardsticks(orthanc, url, pictures, [Request(f"/file/{at}.jpg", {}) for at in range(len(ids))])
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(root)
