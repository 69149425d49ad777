"""A process's pool over a restart of PostgreSQL: prints what each of some requests' queries answers."""

import os

from tests.postgres import server


def main() -> None:
    with server() as running:
        os.environ.update(DATABASE_URL=running.url(), DATABASE_POOL="1", COMPUTENET_SANDBOX="1", SECRET_KEY="x" * 50)
        os.environ["DJANGO_SETTINGS_MODULE"] = "computenet.settings"
        import django  # noqa: PLC0415  settings are read from the environment

        django.setup()
        from django.db import Error, connection  # noqa: PLC0415

        def request() -> str:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                    return str(cursor.fetchone()[0])
            except Error as problem:
                return repr(problem)
            finally:
                connection.close()  # as at a request's end: back into the pool

        print(request(), request())
        running.end()
        running.start()
        print(*(request() for _ in range(4)))
        connection.close_pool()


if __name__ == "__main__":
    main()
