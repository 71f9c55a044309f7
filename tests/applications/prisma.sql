-- What Prisma Migrate makes of a schema.prisma with an enum, an implicit many-to-many relation, an @@map and a view.
CREATE TYPE "Role" AS ENUM ('USER', 'ADMIN');
CREATE TABLE "User" (
    "id" SERIAL NOT NULL, "email" TEXT NOT NULL, "fullName" TEXT, "role" "Role" NOT NULL DEFAULT 'USER',
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "deletedAt" TIMESTAMP(3),
    CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Post" (
    "id" TEXT NOT NULL, "title" TEXT NOT NULL, "published" BOOLEAN NOT NULL DEFAULT false, "viewCount" INTEGER NOT NULL DEFAULT 0,
    "authorId" INTEGER NOT NULL, "tags" TEXT[], "meta" JSONB, CONSTRAINT "Post_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Category" ("id" SERIAL NOT NULL, "name" TEXT NOT NULL, CONSTRAINT "Category_pkey" PRIMARY KEY ("id"));
CREATE TABLE "user_profiles" ("id" SERIAL NOT NULL, "bio" TEXT, "userId" INTEGER NOT NULL, CONSTRAINT "user_profiles_pkey" PRIMARY KEY ("id"));
CREATE TABLE "_CategoryToPost" ("A" INTEGER NOT NULL, "B" TEXT NOT NULL, CONSTRAINT "_CategoryToPost_AB_pkey" PRIMARY KEY ("A", "B"));
CREATE TABLE "_prisma_migrations" (
    id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL,
    logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
CREATE UNIQUE INDEX "user_profiles_userId_key" ON "user_profiles"("userId");
CREATE INDEX "_CategoryToPost_B_index" ON "_CategoryToPost"("B");
ALTER TABLE "Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "user_profiles" ADD CONSTRAINT "user_profiles_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "_CategoryToPost" ADD CONSTRAINT "_CategoryToPost_A_fkey" FOREIGN KEY ("A") REFERENCES "Category"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "_CategoryToPost" ADD CONSTRAINT "_CategoryToPost_B_fkey" FOREIGN KEY ("B") REFERENCES "Post"("id") ON DELETE CASCADE ON UPDATE CASCADE;
-- Who has something published: a post decides whether there is a row.
CREATE VIEW "ActiveUsers" AS
    SELECT u."id", u."fullName" AS "displayName", count(*) AS "postCount", max(p."viewCount") AS "mostViews"
    FROM "User" u JOIN "Post" p ON p."authorId" = u."id" AND p."published" WHERE u."deletedAt" IS NULL GROUP BY u."id";
INSERT INTO "User" ("email", "fullName", "role") SELECT 'user' || g || '@Example.org', 'User ' || g, CASE WHEN g % 5 = 0 THEN 'ADMIN' ELSE 'USER' END::"Role" FROM generate_series(1, 60) g;
INSERT INTO "Post" SELECT 'cl' || g, 'Post No ' || g, g % 3 > 0, g * 7, 1 + g % 50, ARRAY['a', 'B' || g], jsonb_build_object('n', g) FROM generate_series(1, 200) g;
INSERT INTO "Category" ("name") SELECT 'Category ' || g FROM generate_series(1, 10) g;
INSERT INTO "_CategoryToPost" SELECT 1 + g % 10, 'cl' || g FROM generate_series(1, 180) g;
INSERT INTO "_CategoryToPost" SELECT 1 + (g + 3) % 10, 'cl' || g FROM generate_series(1, 90) g;
INSERT INTO "user_profiles" ("bio", "userId") SELECT 'Bio of ' || g, g FROM generate_series(1, 40) g;
INSERT INTO "_prisma_migrations" (id, checksum, migration_name, finished_at) VALUES ('7d1c0d3e-0000-4000-8000-000000000001', 'x', '20240101000000_init', now());
